CREATE TABLE customers (id bigint PRIMARY KEY, tenant_id bigint NOT NULL, city text NOT NULL, UNIQUE (id, city));
INSERT INTO customers SELECT n, n % 10, 'city ' || n % 30 FROM generate_series(0, 199) AS n;
CREATE TABLE visits (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    -- goes with every row
    tenant_id bigint NOT NULL,
    -- nearly always follows
    postal_code text NOT NULL,
    town text NOT NULL,
    -- as they were then
    customer_street text NOT NULL,
    agreed_price numeric(10, 2) NOT NULL,
    currency text NOT NULL,
    -- says so
    client text NOT NULL,
    -- constant, or all but
    source text NOT NULL,
    kind text NOT NULL,
    visited_on date NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON COLUMN visits.client IS 'Denormalised from customers: the list of visits is shown without a join.';
INSERT INTO visits
SELECT n, c, c % 10, 'code ' || p, 'town ' || CASE WHEN n = 77 THEN 'elsewhere' ELSE (p / 10)::text END, 'street ' || c, c % 50, 'C' || c % 9, 'client ' || c,
       'web', CASE WHEN n % 97 = 0 THEN 'a' || n % 5 ELSE 'b' END, date '2024-01-01' + (n * 31 % 400), timestamptz '2024-01-01' + make_interval(hours => c)
  FROM generate_series(1, 6000) AS n, LATERAL (SELECT n * 7 % 200 AS c, n * 13 % 300 AS p) AS x;
-- kept together by a key
CREATE TABLE stays (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    city text NOT NULL,
    FOREIGN KEY (customer_id, city) REFERENCES customers (id, city)
);
INSERT INTO stays SELECT n, c.id, c.city FROM generate_series(1, 6000) AS n JOIN customers AS c ON c.id = n % 200;
-- generated
CREATE TABLE labels (id bigint PRIMARY KEY, word text NOT NULL, folded text GENERATED ALWAYS AS (upper(word)) STORED);
INSERT INTO labels SELECT n, 'word ' || n % 300 FROM generate_series(1, 6000) AS n;
-- a document keeps its wording
CREATE TABLE order_lines (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, customer_label text NOT NULL);
INSERT INTO order_lines SELECT n, n % 200, 'label ' || n % 200 FROM generate_series(1, 6000) AS n;
CREATE TABLE visit_history (id bigint PRIMARY KEY, postal_code text NOT NULL, town text NOT NULL);
INSERT INTO visit_history SELECT n, 'code ' || n % 300, 'town ' || n % 300 / 10 FROM generate_series(1, 6000) AS n;
-- too few rows to prove anything
CREATE TABLE branches (id bigint PRIMARY KEY, postal_code text NOT NULL, town text NOT NULL);
INSERT INTO branches SELECT n, 'code ' || n % 30, 'town ' || n % 30 / 5 FROM generate_series(1, 300) AS n;
CREATE TABLE empty_ones (id bigint PRIMARY KEY, postal_code text NOT NULL, town text NOT NULL);
ANALYZE;
