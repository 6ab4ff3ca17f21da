CREATE TABLE devices (
    device_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    device_uuid uuid NOT NULL,
    -- other systems' keys have forms of their own
    stripe_id varchar(36),
    uuid_source text
);

-- everything comes in as text
CREATE SCHEMA staging;
CREATE TABLE staging.rows_read (order_uuid text);
CREATE TABLE order_imports (order_uuid text);
