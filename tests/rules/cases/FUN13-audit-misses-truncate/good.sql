CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what jsonb);
CREATE TABLE accounts (id bigint PRIMARY KEY);
CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (what) VALUES (to_jsonb(coalesce(new, old)));
    RETURN NULL;
END $$;
CREATE TRIGGER record AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TRIGGER record_truncate AFTER TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION record_change();
CREATE TABLE totals (id bigint PRIMARY KEY);
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE totals SET id = id; RETURN NULL; END $$;
CREATE TRIGGER counting AFTER INSERT OR DELETE ON totals FOR EACH ROW EXECUTE FUNCTION count_change();
