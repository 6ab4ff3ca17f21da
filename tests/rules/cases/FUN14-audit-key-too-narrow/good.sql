CREATE TABLE audit_log (id bigint PRIMARY KEY, table_name text NOT NULL, record_id bigint NOT NULL);
CREATE TABLE accounts (id bigint PRIMARY KEY);
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE members (account_id bigint, code text, PRIMARY KEY (account_id, code));
CREATE TABLE account_audit (id bigint PRIMARY KEY, account_id integer NOT NULL, record_id integer);
