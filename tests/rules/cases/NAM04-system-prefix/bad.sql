CREATE TABLE pg_orders (id bigint PRIMARY KEY);
