CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users
);
