CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL);
CREATE TABLE carts (id bigint PRIMARY KEY, customer_id bigint NOT NULL);
CREATE TABLE invoices (id bigint PRIMARY KEY, customer_id bigint NOT NULL);
CREATE TABLE reviews (id bigint PRIMARY KEY, customer_id bigint NOT NULL);
CREATE TABLE exports (id bigint PRIMARY KEY, customer_id text NOT NULL);
