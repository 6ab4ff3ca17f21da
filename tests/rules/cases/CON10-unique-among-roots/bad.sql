CREATE TABLE categories (
    category_id uuid PRIMARY KEY,
    parent_id uuid REFERENCES categories,
    name text NOT NULL,
    CONSTRAINT uq_categories_name UNIQUE (parent_id, name)
);
