-- Billing by subscription: prices in force for a period, invoices whose lines stay as they were issued, payments spread over invoices.
CREATE SCHEMA billing;
CREATE EXTENSION btree_gist WITH SCHEMA public;

CREATE TABLE billing.currencies (
    currency_code char(3) PRIMARY KEY CHECK (currency_code ~ '^[A-Z]{3}$'),
    minor_digits smallint NOT NULL DEFAULT 2 CHECK (minor_digits BETWEEN 0 AND 4),
    name text NOT NULL UNIQUE
);

CREATE TABLE billing.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number text NOT NULL UNIQUE,
    name text NOT NULL,
    tax_number text,
    billing_email text NOT NULL,
    currency_code char(3) NOT NULL REFERENCES billing.currencies ON DELETE RESTRICT,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON billing.customers (currency_code);
CREATE INDEX ON billing.customers (lower(billing_email));

CREATE TABLE billing.contacts (
    customer_id bigint NOT NULL REFERENCES billing.customers ON DELETE CASCADE,
    contact_no integer NOT NULL CHECK (contact_no > 0),
    full_name text NOT NULL,
    email text,
    PRIMARY KEY (customer_id, contact_no)
);

CREATE TABLE billing.plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE CHECK (code = lower(code)),
    name text NOT NULL,
    interval_months smallint NOT NULL DEFAULT 1 CHECK (interval_months > 0),
    retired_at timestamptz
);

-- one price of a plan and currency at a time
CREATE TABLE billing.prices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_id bigint NOT NULL REFERENCES billing.plans ON DELETE RESTRICT,
    currency_code char(3) NOT NULL REFERENCES billing.currencies ON DELETE RESTRICT,
    amount numeric(14, 4) NOT NULL CHECK (amount >= 0),
    in_force daterange NOT NULL,
    EXCLUDE USING gist (plan_id WITH =, currency_code WITH =, in_force WITH &&)
);
CREATE INDEX ON billing.prices (currency_code);

CREATE TYPE billing.subscription_state AS ENUM ('trial', 'active', 'paused', 'ended');

CREATE TABLE billing.subscriptions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES billing.customers ON DELETE RESTRICT,
    plan_id bigint NOT NULL REFERENCES billing.plans ON DELETE RESTRICT,
    state billing.subscription_state NOT NULL DEFAULT 'trial',
    contact_no integer,
    started_on date NOT NULL DEFAULT CURRENT_DATE,
    ends_on date,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_on > started_on),
    CHECK (state <> 'ended' OR ends_on IS NOT NULL),
    -- the customer is required, the contact is not: never half a reference
    FOREIGN KEY (customer_id, contact_no) REFERENCES billing.contacts ON DELETE SET NULL (contact_no)
);
CREATE INDEX ON billing.subscriptions (customer_id, contact_no);
CREATE INDEX ON billing.subscriptions (plan_id);
CREATE UNIQUE INDEX ON billing.subscriptions (customer_id, plan_id) WHERE state IN ('trial', 'active');

CREATE TABLE billing.usage_records (
    subscription_id bigint NOT NULL REFERENCES billing.subscriptions ON DELETE CASCADE,
    meter text NOT NULL,
    measured_at timestamptz NOT NULL,
    quantity numeric(18, 6) NOT NULL CHECK (quantity >= 0),
    idempotency_key uuid NOT NULL,
    PRIMARY KEY (subscription_id, meter, measured_at),
    UNIQUE (idempotency_key, measured_at)
) PARTITION BY RANGE (measured_at);
CREATE TABLE billing.usage_records_2025 PARTITION OF billing.usage_records FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE billing.usage_records_2026 PARTITION OF billing.usage_records FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

CREATE TABLE billing.tax_rates (
    country_code char(2) NOT NULL,
    valid_from date NOT NULL,
    rate numeric(6, 5) NOT NULL CHECK (rate BETWEEN 0 AND 1),
    PRIMARY KEY (country_code, valid_from)
);

-- an invoice repeats on purpose what it said on the day it was issued
CREATE TABLE billing.invoices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES billing.customers ON DELETE RESTRICT,
    number text UNIQUE,
    customer_name text NOT NULL,
    customer_tax_number text,
    currency_code char(3) NOT NULL REFERENCES billing.currencies ON DELETE RESTRICT,
    net numeric(14, 2) NOT NULL DEFAULT 0,
    tax numeric(14, 2) NOT NULL DEFAULT 0,
    gross numeric(14, 2) GENERATED ALWAYS AS (net + tax) STORED,
    issued_at timestamptz,
    due_on date,
    corrects_id bigint REFERENCES billing.invoices ON DELETE RESTRICT,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, currency_code),
    CHECK ((issued_at IS NULL) = (number IS NULL)),
    CHECK (issued_at IS NULL OR due_on IS NOT NULL)
);
CREATE INDEX ON billing.invoices (customer_id, created_at DESC);
CREATE INDEX ON billing.invoices (currency_code);
CREATE INDEX ON billing.invoices (corrects_id) WHERE corrects_id IS NOT NULL;
CREATE INDEX ON billing.invoices (due_on) INCLUDE (gross) WHERE issued_at IS NOT NULL;

CREATE TABLE billing.invoice_lines (
    invoice_id bigint NOT NULL REFERENCES billing.invoices ON DELETE CASCADE,
    line_no smallint NOT NULL CHECK (line_no > 0),
    subscription_id bigint REFERENCES billing.subscriptions ON DELETE RESTRICT,
    plan_id bigint REFERENCES billing.plans ON DELETE RESTRICT,
    plan_name text,
    description text NOT NULL,
    quantity numeric(14, 4) NOT NULL,
    unit_price numeric(14, 4) NOT NULL,
    amount numeric(14, 2) GENERATED ALWAYS AS (round(quantity * unit_price, 2)) STORED,
    tax_country char(2),
    tax_valid_from date,
    PRIMARY KEY (invoice_id, line_no),
    FOREIGN KEY (tax_country, tax_valid_from) REFERENCES billing.tax_rates MATCH FULL ON DELETE RESTRICT
);
CREATE INDEX ON billing.invoice_lines (subscription_id);
CREATE INDEX ON billing.invoice_lines (plan_id);
CREATE INDEX ON billing.invoice_lines (tax_country, tax_valid_from);

CREATE TABLE billing.payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES billing.customers ON DELETE RESTRICT,
    provider text NOT NULL,
    provider_reference text NOT NULL,
    currency_code char(3) NOT NULL REFERENCES billing.currencies ON DELETE RESTRICT,
    amount numeric(14, 2) NOT NULL CHECK (amount <> 0),
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, provider_reference),
    UNIQUE (id, currency_code)
);
CREATE INDEX ON billing.payments (customer_id);
CREATE INDEX ON billing.payments (currency_code);

-- both sides in one currency: that is what the longer unique keys are for
CREATE TABLE billing.allocations (
    payment_id bigint NOT NULL,
    invoice_id bigint NOT NULL,
    currency_code char(3) NOT NULL,
    amount numeric(14, 2) NOT NULL CHECK (amount > 0),
    PRIMARY KEY (payment_id, invoice_id),
    FOREIGN KEY (payment_id, currency_code) REFERENCES billing.payments (id, currency_code) ON DELETE CASCADE,
    FOREIGN KEY (invoice_id, currency_code) REFERENCES billing.invoices (id, currency_code) ON DELETE RESTRICT
);
CREATE INDEX ON billing.allocations (invoice_id, currency_code);
CREATE INDEX ON billing.allocations (payment_id, currency_code);

CREATE FUNCTION billing.refuse_issued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing.invoices i WHERE i.id = OLD.invoice_id AND i.issued_at IS NOT NULL) THEN
        RAISE EXCEPTION 'invoice % is issued', OLD.invoice_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER lines_are_final BEFORE UPDATE OR DELETE ON billing.invoice_lines
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_issued();

CREATE VIEW billing.open_invoices AS
SELECT i.id, i.number, i.customer_id, i.due_on, i.gross - coalesce(sum(a.amount), 0) AS open_amount
FROM billing.invoices i LEFT JOIN billing.allocations a ON a.invoice_id = i.id
WHERE i.issued_at IS NOT NULL
GROUP BY i.id
HAVING i.gross > coalesce(sum(a.amount), 0);
