CREATE TABLE prices (
    price_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    amount numeric(12, 2) NOT NULL,
    updated_by text NOT NULL DEFAULT current_setting('app.current_user')
);

CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    changed_by text NOT NULL
);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (table_name, changed_by)
    VALUES (TG_TABLE_NAME, current_setting('app.current_user', true));
    RETURN NULL;
END
$$;

CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry audit_log;
BEGIN
    entry := ROW(
        nextval('audit_log_audit_id_seq'), -- the key, then the rest
        TG_TABLE_NAME,
        current_setting('app.current_user', TRUE)
    );
    INSERT INTO audit_log OVERRIDING SYSTEM VALUE SELECT (entry).*;
    RETURN NULL;
END
$$;
