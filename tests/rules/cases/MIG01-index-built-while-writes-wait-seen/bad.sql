-- file: 001_orders.sql
CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint PRIMARY KEY, customer_id bigint);
CREATE TABLE app.days (day date NOT NULL) PARTITION BY RANGE (day);
CREATE INDEX orders_id_idx ON app.orders (id, customer_id);
-- file: 002_index.sql
CREATE INDEX orders_customer_id_idx
    ON app.orders (customer_id);
CREATE INDEX days_day_idx ON app.days (day);
