CREATE SCHEMA shop;
CREATE TABLE shop.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES shop.users ON DELETE RESTRICT,
    -- no table of that name
    warehouse_id bigint,
    -- another system's key: another type
    order_id text
);
-- says what it refers to in a column
CREATE TABLE shop.comments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_type text NOT NULL,
    user_id bigint NOT NULL
);
-- must outlive the user
CREATE TABLE shop.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint
);
CREATE TABLE shop.order_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL,
    user_id bigint
);
-- another schema's tables may live in another database tomorrow
CREATE SCHEMA billing;
CREATE TABLE billing.invoices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL
);

-- each partition has its own foreign key
CREATE TABLE shop.payments (
    paid_on date NOT NULL,
    user_id bigint NOT NULL
) PARTITION BY RANGE (paid_on);
CREATE TABLE shop.payments_2026 PARTITION OF shop.payments FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE shop.payments_2026 ADD FOREIGN KEY (user_id) REFERENCES shop.users;
