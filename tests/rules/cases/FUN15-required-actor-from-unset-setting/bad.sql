CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, changed_by text NOT NULL, what jsonb);
CREATE TABLE notes (id bigint PRIMARY KEY, made_by text NOT NULL DEFAULT current_setting('app.user', true));
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (changed_by, what) VALUES (current_setting('app.user', TRUE), to_jsonb(new));
    RETURN NULL;
END $$;
