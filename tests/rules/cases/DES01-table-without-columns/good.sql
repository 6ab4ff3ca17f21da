-- a queue of keys
CREATE TABLE pending_orders (
    order_id uuid PRIMARY KEY
);
