CREATE ROLE case_app;
CREATE TABLE audit_log (id bigint PRIMARY KEY, at timestamptz NOT NULL);
GRANT ALL ON audit_log TO case_app;
CREATE TABLE events (id bigint PRIMARY KEY, aggregate_id uuid NOT NULL, event_version integer NOT NULL, UNIQUE (aggregate_id, event_version));
GRANT SELECT, INSERT, UPDATE ON events TO case_app;
CREATE SCHEMA audit;
CREATE TABLE audit.logged_actions (id bigint PRIMARY KEY);
GRANT SELECT, DELETE ON audit.logged_actions TO case_app;
