CREATE TABLE orders (id bigint PRIMARY KEY);
CREATE TABLE order_history (id bigint PRIMARY KEY);
