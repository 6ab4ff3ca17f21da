CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    status text NOT NULL,
    number text NOT NULL,
    placed_at timestamptz NOT NULL
);
CREATE INDEX idx_orders_user_id ON orders (user_id);
CREATE INDEX idx_orders_user_id_open ON orders (user_id) WHERE status = 'open';
CREATE INDEX idx_orders_user_id_status ON orders (user_id) INCLUDE (status);
-- another order of the two
CREATE INDEX idx_orders_user_placed ON orders (user_id, placed_at);
CREATE INDEX idx_orders_user_placed_desc ON orders (user_id, placed_at DESC);
-- LIKE 'A%' needs another operator class
CREATE INDEX idx_orders_number ON orders (number);
CREATE INDEX idx_orders_number_prefix ON orders (number text_pattern_ops);
CREATE INDEX idx_orders_number_hash ON orders USING hash (number);

-- each partition has its share of one index
CREATE TABLE visits (
    visited_on date NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (visited_on);
CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX idx_visits_page ON visits (page);
