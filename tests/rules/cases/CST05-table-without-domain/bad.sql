CREATE SCHEMA app;
CREATE SCHEMA old;
CREATE TABLE app.orders (id bigint PRIMARY KEY);
CREATE TABLE app.customers (id bigint PRIMARY KEY);
CREATE TABLE old.orders (id bigint PRIMARY KEY);
