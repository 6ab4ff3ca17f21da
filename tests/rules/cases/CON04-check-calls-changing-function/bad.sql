CREATE SCHEMA shop;
CREATE TABLE shop.vendors (
    vendor_id bigint PRIMARY KEY,
    is_active boolean NOT NULL
);
CREATE FUNCTION shop.is_active_vendor(id bigint) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT is_active FROM shop.vendors WHERE vendor_id = id';
CREATE FUNCTION shop.is_code(value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN value ~ '^[A-Z]{3}$' AND extract(year from date '2026-01-01') > 0 AND value IS DISTINCT FROM 'XXX';
END
$$;
CREATE TABLE shop.products (
    product_id bigint PRIMARY KEY,
    vendor_id bigint NOT NULL CONSTRAINT chk_vendor CHECK (shop.is_active_vendor(vendor_id)),
    code text NOT NULL CONSTRAINT chk_code CHECK (shop.is_code(code))
);
