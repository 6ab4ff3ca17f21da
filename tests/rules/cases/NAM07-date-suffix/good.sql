CREATE TABLE orders (id bigint PRIMARY KEY, due_date date, paid_at timestamptz);
