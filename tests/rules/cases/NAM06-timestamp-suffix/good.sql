CREATE TABLE orders (id bigint PRIMARY KEY, paid_at timestamptz, due date, period tstzrange, seen timestamptz[]);
