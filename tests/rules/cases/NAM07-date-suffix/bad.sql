CREATE TABLE orders (id bigint PRIMARY KEY, due date);
