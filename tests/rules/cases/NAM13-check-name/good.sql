CREATE TABLE products (id bigint PRIMARY KEY, price numeric, CONSTRAINT chk_price_positive CHECK (price > 0), name text NOT NULL);
