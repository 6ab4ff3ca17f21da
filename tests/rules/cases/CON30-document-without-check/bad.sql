CREATE TABLE orders (
    id bigint PRIMARY KEY,
    details jsonb NOT NULL DEFAULT '{}',
    tags jsonb NOT NULL DEFAULT '[]',
    "Extra Data" json DEFAULT '{}'::json,
    -- says that something is there, not what
    notes jsonb CHECK (notes IS NOT NULL),
    CONSTRAINT orders_details_check CHECK (id > 0)
);
CREATE DOMAIN document AS jsonb;
CREATE TABLE pages (id bigint PRIMARY KEY, body document);
