CREATE SCHEMA shop;
CREATE FUNCTION shop.is_code(value text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN value ~ '^[A-Z]{3}$';
CREATE FUNCTION shop.has_digits(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
    'SELECT bool_or(c ~ ''[0-9]'') FROM regexp_split_to_table(value, '''') AS c';
CREATE TABLE shop.vendors (
    vendor_id bigint PRIMARY KEY
);
CREATE TABLE shop.products (
    product_id bigint PRIMARY KEY,
    vendor_id bigint NOT NULL REFERENCES shop.vendors,
    code text NOT NULL CHECK (shop.is_code(code)),
    serial_no text CHECK (shop.has_digits(serial_no) AND length(serial_no) < 20)
);
