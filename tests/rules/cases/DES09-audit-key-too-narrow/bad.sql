CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE currencies (
    code text PRIMARY KEY
);
CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    record_id integer NOT NULL,
    old_values jsonb,
    new_values jsonb
);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (table_name, record_id, new_values) VALUES (TG_TABLE_NAME, (to_jsonb(NEW) ->> TG_ARGV[0])::integer, to_jsonb(NEW));
    RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION audit('user_id');
