CREATE TABLE orders (id bigint NOT NULL, placed_at timestamptz NOT NULL, total numeric(12, 2), PRIMARY KEY (id, placed_at))
    PARTITION BY RANGE (placed_at);
CREATE TABLE orders_2023 PARTITION OF orders FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE orders_2024 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
-- codes of three kinds, each with its own meaning
CREATE TABLE order_states (id bigint PRIMARY KEY, code text NOT NULL, name text NOT NULL, description text);
CREATE TABLE order_channels (id bigint PRIMARY KEY, code text NOT NULL, name text NOT NULL, description text);
CREATE TABLE order_reasons (id bigint PRIMARY KEY, code text NOT NULL, name text NOT NULL, description text);
-- second lives of one table
CREATE TABLE payments (id bigint PRIMARY KEY, amount numeric(12, 2), paid_at timestamptz, method text);
CREATE TABLE payments_archive (id bigint PRIMARY KEY, amount numeric(12, 2), paid_at timestamptz, method text);
CREATE TABLE payments_staging (id bigint PRIMARY KEY, amount numeric(12, 2), paid_at timestamptz, method text);
CREATE TABLE payments_old (id bigint PRIMARY KEY, amount numeric(12, 2), paid_at timestamptz, method text);
-- two of a kind, differing in one column
CREATE TABLE tax_2023 (id bigint PRIMARY KEY, rate numeric(5, 2), region text);
CREATE TABLE tax_2024 (id bigint PRIMARY KEY, rate numeric(5, 2), region text, reduced_rate numeric(5, 2));
CREATE TABLE address1 (id bigint PRIMARY KEY, street text, town text, zip text);
CREATE TABLE address2 (id bigint PRIMARY KEY, street text, town text, zip text);
-- children by inheritance are partitions of the old kind
CREATE TABLE readings (id bigint PRIMARY KEY, sensor text, reading numeric(9, 3), taken_at timestamptz);
CREATE TABLE readings_2023 (PRIMARY KEY (id)) INHERITS (readings);
CREATE TABLE readings_2024 (PRIMARY KEY (id)) INHERITS (readings);
-- one schema for each tenant
CREATE SCHEMA acme;
CREATE TABLE acme.contacts (id bigint PRIMARY KEY, phone text, email text, employer text);
CREATE SCHEMA globex;
CREATE TABLE globex.contacts (id bigint PRIMARY KEY, phone text, email text, employer text);
