CREATE TABLE orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    placed_at timestamptz NOT NULL
);

-- two thousand million warehouses will not be
CREATE TABLE warehouses (
    warehouse_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL
);
CREATE TABLE event_types (
    event_type_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL
);

-- a list that people write by hand has numbers of its own
CREATE TABLE vat_rates (
    vat_rate_id smallint PRIMARY KEY,
    percent numeric(5, 2) NOT NULL
);

-- part of a key
CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders,
    line integer NOT NULL,
    PRIMARY KEY (order_id, line)
);
