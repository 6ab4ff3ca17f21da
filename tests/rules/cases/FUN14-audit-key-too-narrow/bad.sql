CREATE TABLE audit_log (id bigint PRIMARY KEY, table_name text NOT NULL, record_id integer NOT NULL);
CREATE TABLE accounts (id uuid PRIMARY KEY);
