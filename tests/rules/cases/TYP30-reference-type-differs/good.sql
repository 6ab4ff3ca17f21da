CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, external_id text);
CREATE TABLE carts (id bigint PRIMARY KEY, customer_id bigint NOT NULL, external_id uuid);
CREATE TABLE invoices (id bigint PRIMARY KEY, customer_id bigint NOT NULL, external_id bigint);
CREATE TABLE reviews (id bigint PRIMARY KEY, customer_id bigint NOT NULL, external_id text);
-- another schema, another world
CREATE SCHEMA crm;
CREATE TABLE crm.contacts (id bigint PRIMARY KEY, customer_id text NOT NULL);
