CREATE TABLE customer (id bigint PRIMARY KEY);
CREATE TABLE order_item (id bigint PRIMARY KEY);
CREATE TABLE address (id bigint PRIMARY KEY);
