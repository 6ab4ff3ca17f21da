CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE people (id bigint PRIMARY KEY);
CREATE TABLE inventory (id bigint PRIMARY KEY);
CREATE TABLE audit_log (id bigint PRIMARY KEY);
CREATE TABLE order_history (id bigint PRIMARY KEY);
CREATE TABLE orders_archive (id bigint PRIMARY KEY);
CREATE TABLE media (id bigint PRIMARY KEY);
CREATE TABLE "orderStatuses" (id bigint PRIMARY KEY);
