CREATE SCHEMA app;
CREATE SCHEMA staging;
CREATE TABLE app.orders (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE app.orders_2026 PARTITION OF app.orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.outbox (id bigint PRIMARY KEY, payload jsonb NOT NULL);
CREATE TABLE app.audit_log (id bigint PRIMARY KEY, at timestamptz NOT NULL);
CREATE TABLE staging.products (line text);
CREATE TABLE app.events (
    aggregate_id uuid, event_version integer, payload jsonb NOT NULL, PRIMARY KEY (aggregate_id, event_version)
);
-- a framework's own bookkeeping
CREATE TABLE app.alembic_version (version_num varchar(32) PRIMARY KEY);
