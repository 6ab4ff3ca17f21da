CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    attributes jsonb NOT NULL,
    tags text[] NOT NULL,
    path integer[] NOT NULL
);
CREATE INDEX idx_products_attributes ON products USING gin (attributes jsonb_path_ops);
CREATE INDEX idx_products_colour ON products ((attributes ->> 'colour'));
CREATE INDEX idx_products_tags ON products USING gin (tags);
CREATE UNIQUE INDEX uq_products_path ON products (path);

-- sorted by
CREATE TABLE tree_nodes (node_id bigint PRIMARY KEY, path bigint[] NOT NULL, release_version integer[] NOT NULL);
CREATE INDEX tree_nodes_path ON tree_nodes (path);
CREATE INDEX tree_nodes_version ON tree_nodes (release_version);
