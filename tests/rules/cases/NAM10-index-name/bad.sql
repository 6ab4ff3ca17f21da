CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, at timestamptz);
CREATE INDEX ON orders (customer_id);
CREATE INDEX "By Day" ON orders ((at AT TIME ZONE 'UTC'));
CREATE INDEX idx_customers_at ON orders (at);
