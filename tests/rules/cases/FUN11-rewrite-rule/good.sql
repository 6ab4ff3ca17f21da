CREATE TABLE ledger (id bigint PRIMARY KEY);
CREATE VIEW ledger_list AS SELECT id FROM ledger;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE TRIGGER no_update BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse();
