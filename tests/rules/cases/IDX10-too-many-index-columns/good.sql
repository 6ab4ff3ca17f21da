CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    name text,
    colour text,
    size text,
    price numeric(12, 2),
    UNIQUE (tenant_id, name, colour, size)
);
CREATE INDEX idx_products_colour_size ON products (colour, size, price) INCLUDE (name);
