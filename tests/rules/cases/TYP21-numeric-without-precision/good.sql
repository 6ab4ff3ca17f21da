CREATE DOMAIN price AS numeric(12, 2);
CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    price price NOT NULL,
    weight decimal(8, 3),
    pieces numeric(10)
);
