-- Roles, rights of every kind, row policies of every command, publications and foreign tables, as careful people set them.
CREATE ROLE corpus_reg_owner NOLOGIN;
CREATE ROLE corpus_reg_app NOLOGIN;
CREATE ROLE corpus_reg_reader NOLOGIN;
CREATE ROLE corpus_reg_auditor NOLOGIN;
CREATE SCHEMA shared AUTHORIZATION corpus_reg_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA shared TO corpus_reg_app, corpus_reg_reader, corpus_reg_auditor;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_reg_owner IN SCHEMA shared GRANT SELECT ON TABLES TO corpus_reg_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_reg_owner IN SCHEMA shared GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO corpus_reg_app;
ALTER DEFAULT PRIVILEGES FOR ROLE corpus_reg_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SET ROLE corpus_reg_owner;

CREATE TABLE shared.members (
    member_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL UNIQUE,
    email text NOT NULL,
    birth_date date
);
CREATE UNIQUE INDEX ON shared.members (lower(email));
-- some columns for everybody who gets in, others for nobody
REVOKE SELECT ON shared.members FROM corpus_reg_reader;
GRANT SELECT (member_id, login) ON shared.members TO corpus_reg_reader;
GRANT UPDATE (login) ON shared.members TO corpus_reg_app;

CREATE TABLE shared.letters (
    letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author text NOT NULL DEFAULT session_user,
    reader text NOT NULL,
    body text NOT NULL,
    sealed boolean NOT NULL DEFAULT false,
    written_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON shared.letters (author);
CREATE INDEX ON shared.letters (reader);
ALTER TABLE shared.letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared.letters FORCE ROW LEVEL SECURITY;
CREATE POLICY letters_read ON shared.letters FOR SELECT TO corpus_reg_app
    USING (author = (SELECT nullif(current_setting('app.login', true), '')) OR reader = (SELECT nullif(current_setting('app.login', true), '')));
CREATE POLICY letters_write ON shared.letters FOR INSERT TO corpus_reg_app
    WITH CHECK (author = (SELECT nullif(current_setting('app.login', true), '')));
CREATE POLICY letters_change ON shared.letters FOR UPDATE TO corpus_reg_app
    USING (author = (SELECT nullif(current_setting('app.login', true), '')))
    WITH CHECK (author = (SELECT nullif(current_setting('app.login', true), '')));
CREATE POLICY letters_remove ON shared.letters FOR DELETE TO corpus_reg_app
    USING (author = (SELECT nullif(current_setting('app.login', true), '')));
CREATE POLICY letters_sealed_stay ON shared.letters AS RESTRICTIVE FOR UPDATE TO corpus_reg_app USING (NOT sealed) WITH CHECK (true);
CREATE POLICY letters_audit ON shared.letters FOR SELECT TO corpus_reg_auditor USING (true);
GRANT SELECT ON shared.letters TO corpus_reg_auditor;

-- the caller's rights and policies decide
CREATE VIEW shared.my_letters WITH (security_invoker = true) AS
SELECT letter_id, reader, body FROM shared.letters WHERE author = (SELECT nullif(current_setting('app.login', true), ''));
-- each sees his own row, behind a barrier, and can write no other
CREATE VIEW shared.me WITH (security_barrier = true) AS
SELECT member_id, login, email FROM shared.members WHERE login = (SELECT nullif(current_setting('app.login', true), ''))
WITH CASCADED CHECK OPTION;
GRANT UPDATE (email) ON shared.me TO corpus_reg_app;
-- counts are no rows, and need no barrier
CREATE VIEW shared.counts AS SELECT count(*) AS members FROM shared.members;

CREATE FUNCTION shared.login_exists(wanted text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = shared, pg_temp
    AS 'SELECT EXISTS (SELECT FROM shared.members m WHERE m.login = wanted)';
GRANT EXECUTE ON FUNCTION shared.login_exists(text) TO corpus_reg_app;
RESET ROLE;

CREATE FOREIGN DATA WRAPPER regression_like;
CREATE SERVER archive FOREIGN DATA WRAPPER regression_like OPTIONS (host 'archive', dbname 'old');
CREATE USER MAPPING FOR corpus_reg_owner SERVER archive OPTIONS (user 'reader', password_required 'true');
CREATE FOREIGN TABLE shared.old_letters (letter_id bigint NOT NULL, author text, written_at timestamptz, CHECK (letter_id > 0))
    SERVER archive OPTIONS (table_name 'letters');
ALTER FOREIGN TABLE shared.old_letters OWNER TO corpus_reg_owner;
GRANT SELECT ON shared.old_letters TO corpus_reg_auditor;

CREATE PUBLICATION letters_out FOR TABLE shared.letters (letter_id, author, written_at) WHERE (letter_id > 0);
CREATE PUBLICATION inserts_only FOR TABLES IN SCHEMA shared WITH (publish = 'insert');
