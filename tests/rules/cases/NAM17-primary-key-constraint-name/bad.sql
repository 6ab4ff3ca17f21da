CREATE TABLE orders (id bigint PRIMARY KEY);
CREATE TABLE "Order Items" (id bigint, line int, order_id bigint REFERENCES orders, CONSTRAINT "key of items" PRIMARY KEY (id, line));
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE pk_users (id bigint CONSTRAINT pk_pk_users PRIMARY KEY);
CREATE TABLE counts (id bigint PRIMARY KEY, n int);
CREATE FUNCTION count_up(i bigint) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO public.counts VALUES (i, 1) ON CONFLICT ON CONSTRAINT counts_pkey DO UPDATE SET n = counts.n + 1 $$;
CREATE TABLE years (y int PRIMARY KEY) PARTITION BY RANGE (y);
CREATE TABLE years_1 PARTITION OF years FOR VALUES FROM (1) TO (2);
