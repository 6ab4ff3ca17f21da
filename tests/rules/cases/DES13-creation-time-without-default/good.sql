CREATE TABLE users (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE items (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE order_history (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.created_at := now(); RETURN NEW; END $$;
CREATE TABLE invoices (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TRIGGER stamp BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION stamp();
-- mostly the application's affair
CREATE TABLE a (id bigint PRIMARY KEY, inserted_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE b (id bigint PRIMARY KEY, inserted_at timestamptz NOT NULL);
CREATE TABLE c (id bigint PRIMARY KEY, inserted_at timestamptz NOT NULL);
-- text of a person's own
CREATE TABLE poems (id bigint PRIMARY KEY, created_at text);
-- made in another system: its time, not ours
CREATE TABLE tweets (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, fetched_at timestamptz NOT NULL DEFAULT now());
-- measured then
CREATE TABLE samples (device bigint, created_at timestamptz, value real, PRIMARY KEY (device, created_at));
