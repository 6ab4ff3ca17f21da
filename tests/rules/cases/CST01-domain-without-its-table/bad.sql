CREATE SCHEMA app;
CREATE TABLE app.orders (id bigint PRIMARY KEY);
CREATE TABLE app.order_items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES app.orders);
CREATE TABLE app.invoice (id bigint PRIMARY KEY);
CREATE VIEW app.revenue_by_day AS SELECT count(*) AS orders FROM app.orders;
