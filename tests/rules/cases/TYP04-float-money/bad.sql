CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    "unitPrice" double precision NOT NULL
);
CREATE TABLE payments (
    payment_id uuid PRIMARY KEY,
    amount real NOT NULL DEFAULT 0,
    total_fee float NOT NULL
);
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    total real NOT NULL,
    net_total double precision
);
