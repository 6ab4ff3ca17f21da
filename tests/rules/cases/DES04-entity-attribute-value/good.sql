CREATE TABLE settings (
    name text PRIMARY KEY,
    value text NOT NULL
);
CREATE TABLE user_preferences (
    user_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    weight numeric(8, 3),
    attributes jsonb NOT NULL DEFAULT '{}'
);
