CREATE SCHEMA app;
CREATE SCHEMA billing;
CREATE TABLE app.orders (id bigint PRIMARY KEY, day date NOT NULL);
CREATE TABLE app.order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES app.orders);
CREATE TABLE billing.invoices (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE app.carts (id bigint PRIMARY KEY);
CREATE MATERIALIZED VIEW app.revenue_by_day AS SELECT day, count(*) AS orders FROM app.orders GROUP BY day;
