CREATE TABLE orders (id bigint PRIMARY KEY, "refunded By" bigint, note text);
INSERT INTO orders SELECT n, CASE WHEN n % 50 = 0 THEN n END, 'note ' || n FROM generate_series(1, 200000) AS n;
CREATE INDEX "idx Refunded" ON orders ("refunded By" DESC) INCLUDE (id) WITH (fillfactor = 80);
ANALYZE orders;
