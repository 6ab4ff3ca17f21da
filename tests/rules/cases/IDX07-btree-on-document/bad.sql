CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    attributes jsonb NOT NULL,
    tags text[] NOT NULL
);
CREATE INDEX idx_products_attributes ON products (attributes);
CREATE INDEX idx_products_tags ON products (tags);
