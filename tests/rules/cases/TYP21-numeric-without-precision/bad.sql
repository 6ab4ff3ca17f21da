CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    price numeric NOT NULL,
    weight decimal
);
