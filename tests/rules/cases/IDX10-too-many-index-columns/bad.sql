CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    name text,
    colour text,
    size text,
    price numeric(12, 2)
);
CREATE INDEX idx_products_all ON products (colour, size, price, name);
