CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    name text,
    colour text,
    size text
);
CREATE INDEX idx_products_name ON products (name);
CREATE INDEX idx_products_colour_size ON products (colour, size);
