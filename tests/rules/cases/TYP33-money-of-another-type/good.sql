CREATE TABLE price_lists (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE products (
    id bigint PRIMARY KEY, price numeric(12, 2) NOT NULL, price_list integer, price_id bigint, fee_type smallint, price_count integer,
    "cost_centre" integer, price_list_price bigint REFERENCES price_lists
);
CREATE TABLE rainfall (id bigint PRIMARY KEY, amount integer NOT NULL, total integer);
CREATE TABLE payments (id bigint PRIMARY KEY, amount numeric NOT NULL, fee double precision);
