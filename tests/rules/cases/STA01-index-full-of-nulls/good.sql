CREATE TABLE orders (
    id bigint PRIMARY KEY, refunded_by bigint, coupon text, parcel bigint, shipped_at timestamptz, cancelled_by bigint, external_id bigint
);
INSERT INTO orders
SELECT n, CASE WHEN n % 50 = 0 THEN n END, CASE WHEN n % 3 = 0 THEN 'x' || n END, CASE WHEN n % 50 = 0 THEN n END, now(),
       CASE WHEN n % 50 = 0 THEN n END, CASE WHEN n % 50 = 0 THEN n END
  FROM generate_series(1, 200000) AS n;
-- leaves the NULLs out
CREATE INDEX idx_orders_refunded_by ON orders (refunded_by) WHERE refunded_by IS NOT NULL;
-- a third has a value
CREATE INDEX idx_orders_coupon ON orders (coupon);
-- the second key is looked up with the first
CREATE INDEX idx_orders_parcel ON orders (parcel, shipped_at);
-- a rule, not a search
CREATE UNIQUE INDEX uq_orders_external_id ON orders (external_id);
-- small
CREATE TABLE shops (id bigint PRIMARY KEY, closed_by bigint);
INSERT INTO shops SELECT n, CASE WHEN n % 50 = 0 THEN n END FROM generate_series(1, 12000) AS n;
CREATE INDEX idx_shops_closed_by ON shops (closed_by);
ANALYZE;
