CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint PRIMARY KEY, note varchar(20), customer_id bigint NOT NULL DEFAULT 1 REFERENCES app.orders,
  amount numeric(12,2) CHECK (amount >= 0));
CREATE TABLE app.customers (id bigint PRIMARY KEY, mail text NOT NULL UNIQUE);
CREATE VIEW app.v1 WITH (security_barrier) AS SELECT id, amount, note FROM app.orders;
CREATE VIEW app.v2 AS SELECT amount, count(*) AS n FROM app.v1 GROUP BY amount;
CREATE MATERIALIZED VIEW app.m AS SELECT amount, n FROM app.v2;
CREATE UNIQUE INDEX m_amount ON app.m (amount);
CREATE INDEX m_n ON app.m (n DESC);
CREATE VIEW app.top AS SELECT m.amount, c.mail FROM app.m JOIN app.customers c ON c.id = m.n;
COMMENT ON VIEW app.v1 IS 'first'; COMMENT ON COLUMN app.m.n IS 'how many'; COMMENT ON INDEX app.m_n IS 'by number';
GRANT SELECT ON app.v1 TO PUBLIC; GRANT SELECT (amount) ON app.v2 TO PUBLIC; GRANT SELECT ON app.m TO PUBLIC; GRANT SELECT ON app.top TO PUBLIC;
CREATE FUNCTION app.total() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT sum(n)::bigint FROM app.m; END;
