CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    price numeric(12, 2) NOT NULL DEFAULT 0,
    currency char(3) NOT NULL DEFAULT 'EUR'
);
