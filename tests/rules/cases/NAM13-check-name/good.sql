CREATE TABLE products (id bigint PRIMARY KEY, price numeric, CONSTRAINT chk_price_positive CHECK (price > 0), name text NOT NULL);
CREATE TABLE cards (id bigint PRIMARY KEY, number_encrypted bytea, CONSTRAINT cards_number_encrypted_sealed CHECK (octet_length(number_encrypted) >= 43));
