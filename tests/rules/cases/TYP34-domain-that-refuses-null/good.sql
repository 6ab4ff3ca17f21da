CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN code AS text CHECK (VALUE IS NOT NULL AND length(VALUE) = 2 OR VALUE IS NULL);
CREATE TABLE users (id bigint PRIMARY KEY, email email NOT NULL, code code);
