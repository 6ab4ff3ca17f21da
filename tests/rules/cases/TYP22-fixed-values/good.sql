CREATE TYPE order_status AS ENUM ('draft', 'paid', 'shipped');
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    status order_status NOT NULL,
    -- numbers and single values are rules
    priority smallint CHECK (priority IN (1, 2, 3)),
    unit text CHECK (unit = 'kg'),
    code text CHECK (code ~ '^[A-Z]{3}$'),
    -- depends on another column
    refunded_by text,
    CHECK (refunded_by IN ('card', 'voucher') OR status = 'draft')
);

CREATE TABLE states (code text PRIMARY KEY);
CREATE TABLE people (
    id bigint PRIMARY KEY,
    city text, state text DEFAULT 'CA',
    -- a line that somebody writes, a reference, a rule, and nothing that tells a first state
    status_message text DEFAULT 'hello',
    visibility text NOT NULL DEFAULT 'all' REFERENCES states
);
CREATE TABLE replies (id bigint PRIMARY KEY, status text, stage text DEFAULT 'a' CHECK (stage ~ '^[a-z]+$'), phase text DEFAULT 'Warm up, then run');
CREATE TABLE orders_import (status text DEFAULT 'new');
