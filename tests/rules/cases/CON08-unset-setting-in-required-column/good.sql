CREATE TABLE prices (
    price_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    amount numeric(12, 2) NOT NULL,
    updated_by text NOT NULL DEFAULT coalesce(nullif(current_setting('app.current_user', true), ''), session_user),
    -- no tenant, no row: as it should be
    tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.tenant_id', true), '')::uuid,
    -- may be unknown
    request_id text DEFAULT current_setting('app.request_id', true)
);

CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    changed_by text NOT NULL,
    request_id text
);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (table_name, changed_by, request_id)
    VALUES (TG_TABLE_NAME, coalesce(nullif(current_setting('app.current_user', true), ''), session_user), current_setting('app.request_id', true));
    RETURN NULL;
END
$$;
