CREATE TABLE products (id bigint PRIMARY KEY, price_cents integer NOT NULL, "listPrice" bigint);
CREATE TABLE payments (id bigint PRIMARY KEY, amount bigint NOT NULL, amount_in_minor_units bigint, total integer);
