CREATE TABLE sales (
    id bigint PRIMARY KEY,
    quantity integer NOT NULL,
    unit_price numeric(10, 2) NOT NULL,
    net numeric(12, 2) NOT NULL,
    tax numeric(12, 2) NOT NULL,
    "Gross" numeric(12, 2)
);
INSERT INTO sales
SELECT n, q, p, q * p, t, q * p + t
  FROM generate_series(1, 3000) AS n, LATERAL (SELECT n * 7 % 9 + 1 AS q, (n * 37 % 1009)::numeric / 100 AS p, (n * 11 % 97)::numeric / 10 AS t) AS x;
ANALYZE;
