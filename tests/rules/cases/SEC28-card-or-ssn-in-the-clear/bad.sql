CREATE TABLE people (id bigint PRIMARY KEY, ssn text, "creditCardNumber" varchar(19));
CREATE TABLE payment_methods (id bigint PRIMARY KEY, card_number text NOT NULL, expiry_month integer, cvv integer);
