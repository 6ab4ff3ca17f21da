-- An audit trail for keys of every kind, in one partitioned table. House: schemas app and audit, plural, bigint.
CREATE SCHEMA app;
CREATE SCHEMA audit;

CREATE TABLE app.customers (
    customer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    iban text CHECK (length(iban) BETWEEN 15 AND 34)
);
CREATE TABLE app.order_lines (
    order_number text NOT NULL,
    line smallint NOT NULL,
    customer_id bigint NOT NULL REFERENCES app.customers,
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_number, line)
);
CREATE INDEX order_lines_customer_id ON app.order_lines (customer_id);

CREATE TABLE audit.log (
    log_id bigint GENERATED ALWAYS AS IDENTITY,
    logged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    table_name text NOT NULL,
    record_key jsonb NOT NULL,
    operation text NOT NULL CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')),
    old_values jsonb,
    new_values jsonb,
    changed_by text NOT NULL,
    session_role text NOT NULL DEFAULT SESSION_USER,
    user_id bigint,
    PRIMARY KEY (log_id, logged_at)
) PARTITION BY RANGE (logged_at);
CREATE INDEX log_table_key ON audit.log USING gin (record_key);
CREATE INDEX log_table_time ON audit.log (table_name, logged_at);
CREATE TABLE audit.log_2026 PARTITION OF audit.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE audit.log_2027 PARTITION OF audit.log FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');

CREATE FUNCTION audit.actor() RETURNS text LANGUAGE sql STABLE
    RETURN coalesce(nullif(current_setting('app.user', true), ''), session_user);

-- Runs as its owner, so that those who are audited need no right on the trail.
CREATE FUNCTION audit.record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = audit, pg_temp AS $$
DECLARE
    kept jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    keys jsonb;
BEGIN
    SELECT jsonb_object_agg(name, kept -> name) INTO keys FROM unnest(TG_ARGV) AS name;
    INSERT INTO audit.log (table_name, record_key, operation, old_values, new_values, changed_by)
    VALUES (
        TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, keys, TG_OP,
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END,
        audit.actor());
    RETURN NULL;
END $$;
CREATE FUNCTION audit.record_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = audit, pg_temp AS $$
BEGIN
    INSERT INTO audit.log (table_name, record_key, operation, changed_by)
    VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, '{}', 'TRUNCATE', audit.actor());
    RETURN NULL;
END $$;
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON app.customers FOR EACH ROW EXECUTE FUNCTION audit.record('customer_id');
CREATE TRIGGER audited_truncate AFTER TRUNCATE ON app.customers FOR EACH STATEMENT EXECUTE FUNCTION audit.record_truncate();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON app.order_lines
    FOR EACH ROW EXECUTE FUNCTION audit.record('order_number', 'line');
CREATE TRIGGER audited_truncate AFTER TRUNCATE ON app.order_lines FOR EACH STATEMENT EXECUTE FUNCTION audit.record_truncate();

-- Log-ins: what was tried, whether or not there is such a user.
CREATE TABLE audit.login_attempts (
    login_attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    address inet NOT NULL,
    succeeded boolean NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_attempts_email ON audit.login_attempts (lower(email), attempted_at DESC);
