CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_orders_user REFERENCES users NOT ENFORCED,
    total numeric(12, 2) NOT NULL CONSTRAINT chk_total CHECK (total >= 0) NOT ENFORCED
);
