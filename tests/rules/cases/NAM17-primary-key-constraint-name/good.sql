CREATE TABLE orders (id bigint CONSTRAINT pk_orders PRIMARY KEY);
CREATE TABLE "Order Items" (id bigint CONSTRAINT "pk_Order Items" PRIMARY KEY);
CREATE TABLE "Lines" (id bigint CONSTRAINT pk_lines PRIMARY KEY);
CREATE TABLE years (y int CONSTRAINT pk_years PRIMARY KEY) PARTITION BY RANGE (y);
CREATE TABLE years_1 PARTITION OF years FOR VALUES FROM (1) TO (2);
CREATE TABLE notes (body text);
CREATE TABLE a_table_with_a_name_that_is_so_long_that_nothing_else_fits_into_it (id bigint);
ALTER TABLE a_table_with_a_name_that_is_so_long_that_nothing_else_fits_into_it
    ADD CONSTRAINT pk_a_table_with_a_name_that_is_so_long_that_nothing_else_fits_into_it PRIMARY KEY (id);
