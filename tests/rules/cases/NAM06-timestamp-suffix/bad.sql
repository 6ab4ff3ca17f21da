CREATE TABLE orders (id bigint PRIMARY KEY, paid timestamptz);
