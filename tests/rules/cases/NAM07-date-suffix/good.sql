CREATE TABLE orders (id bigint PRIMARY KEY, due_date date, paid_at timestamptz);
CREATE TABLE days (date date PRIMARY KEY);
