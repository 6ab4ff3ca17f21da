CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    price numeric(12, 2) NOT NULL,
    price_change_percent real,
    weight double precision,
    average_price double precision
);
-- a graph's costs are not money
CREATE TABLE road_edges (
    edge_id bigint PRIMARY KEY,
    cost double precision NOT NULL,
    reverse_cost double precision NOT NULL
);
CREATE TABLE rainfall (
    station_id bigint PRIMARY KEY,
    amount real NOT NULL
);
CREATE TABLE payments (
    payment_id uuid PRIMARY KEY,
    amount_cents bigint NOT NULL,
    exchange_rate double precision
);
-- a total of something else
CREATE TABLE shipments_of_orders (
    shipment_id uuid PRIMARY KEY,
    total_weight real NOT NULL
);
CREATE TABLE measurements (
    measurement_id bigint PRIMARY KEY,
    total double precision
);
