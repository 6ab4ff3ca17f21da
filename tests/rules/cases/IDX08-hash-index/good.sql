CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    referrer_url text
);
CREATE INDEX idx_orders_user_id ON orders (user_id);
-- long, and only looked up whole
CREATE INDEX idx_orders_referrer_url ON orders USING hash (referrer_url);
