CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    record_id text NOT NULL,
    old_values jsonb,
    new_values jsonb
);
-- comments on anything with a number
CREATE TABLE comments (
    comment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_type text NOT NULL,
    entity_id bigint NOT NULL,
    body text NOT NULL
);

-- only tables with such keys are audited
CREATE SCHEMA stock;
CREATE TABLE stock.items (
    item_id integer PRIMARY KEY
);
CREATE TABLE stock.audit_trail (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    record_id integer NOT NULL,
    operation text NOT NULL,
    changed_by text
);
CREATE FUNCTION stock.audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stock.audit_trail (table_name, record_id, operation) VALUES (TG_TABLE_NAME, NEW.item_id, TG_OP);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER UPDATE ON stock.items FOR EACH ROW EXECUTE FUNCTION stock.audit();
