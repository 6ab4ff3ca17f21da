CREATE TABLE orders (id bigint, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
COMMENT ON TABLE orders IS 'One purchase of one customer; kept 10 years.';
