CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, at timestamptz, number text UNIQUE);
CREATE INDEX idx_orders_customer_id ON orders (customer_id);
CREATE INDEX idx_orders_recent ON orders (at DESC);
CREATE TABLE a_table_with_a_name_that_is_so_long_that_nothing_else_fits_in (id bigint PRIMARY KEY, at timestamptz);
CREATE INDEX idx_a_table_with_a_name_that_is_so_long_that_nothing_else_fits_in_at ON a_table_with_a_name_that_is_so_long_that_nothing_else_fits_in (at);
