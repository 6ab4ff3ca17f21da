CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE RESTRICT,
    gift_for uuid REFERENCES users ON DELETE SET NULL
);
CREATE TABLE order_items (
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    line smallint NOT NULL,
    PRIMARY KEY (order_id, line)
);
