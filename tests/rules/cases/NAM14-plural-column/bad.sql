CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 100);
CREATE TABLE customers (
    id bigint PRIMARY KEY,
    emails text,
    phone_numbers varchar(40),
    "homeAddresses" text,
    categories short,
    colours colour,
    birthdates date,
    people text,
    title text,
    titles text
);
CREATE TABLE notes (id bigint PRIMARY KEY, cities text);
CREATE FUNCTION city(n bigint) RETURNS text LANGUAGE sql STABLE AS 'SELECT cities FROM public.notes WHERE id = n';
