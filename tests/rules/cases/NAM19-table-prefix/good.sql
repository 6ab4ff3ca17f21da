CREATE SCHEMA billing;
CREATE TABLE billing.invoices (id bigint PRIMARY KEY);
CREATE TABLE billing_accounts (id bigint PRIMARY KEY);
CREATE TABLE shop_orders (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE orders_1 PARTITION OF shop_orders FOR VALUES FROM (1) TO (2);
CREATE TABLE tenant_orders (id bigint PRIMARY KEY, tenant_id bigint);
CREATE VIEW invoices AS SELECT * FROM billing.invoices;
