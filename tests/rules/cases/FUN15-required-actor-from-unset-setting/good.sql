CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, changed_by text NOT NULL, request text, what jsonb);
CREATE TABLE notes (id bigint PRIMARY KEY, made_by text DEFAULT current_setting('app.user', true), tenant text NOT NULL DEFAULT current_setting('app.tenant'));
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (changed_by, what) VALUES (coalesce(nullif(current_setting('app.user', true), ''), session_user), to_jsonb(new));
    RETURN NULL;
END $$;
CREATE TABLE orders (id bigint PRIMARY KEY, tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.tenant', true), '')::uuid);
