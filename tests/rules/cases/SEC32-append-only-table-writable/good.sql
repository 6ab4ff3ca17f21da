CREATE ROLE case_app;
CREATE ROLE case_retention;
CREATE TABLE audit_log (id bigint PRIMARY KEY, at timestamptz NOT NULL);
GRANT SELECT, INSERT ON audit_log TO case_app;
GRANT SELECT, DELETE ON audit_log TO case_retention;
CREATE TABLE events (id bigint PRIMARY KEY, starts_at timestamptz NOT NULL, title text UNIQUE);
GRANT SELECT, INSERT, UPDATE, DELETE ON events TO case_app;
CREATE TABLE auditors (id bigint PRIMARY KEY);
GRANT ALL ON auditors TO case_app;
