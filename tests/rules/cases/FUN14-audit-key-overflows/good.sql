CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, record_id integer NOT NULL);
CREATE TABLE accounts (id integer PRIMARY KEY);
CREATE TABLE visits (id bigint PRIMARY KEY);
CREATE TABLE members (account_id bigint, visit_id bigint, PRIMARY KEY (account_id, visit_id));
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (table_name, record_id) VALUES (tg_table_name, new.id);
    RETURN NULL;
END $$;
CREATE TRIGGER record AFTER INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TABLE account_audit (id bigint PRIMARY KEY, account_id integer NOT NULL, record_id integer);
