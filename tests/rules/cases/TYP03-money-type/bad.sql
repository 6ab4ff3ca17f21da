CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    price money NOT NULL DEFAULT 0
);
