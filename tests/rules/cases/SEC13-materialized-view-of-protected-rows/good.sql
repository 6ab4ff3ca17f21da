CREATE ROLE case_app;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE MATERIALIZED VIEW totals AS SELECT owner, count(*) AS documents FROM documents GROUP BY owner;
CREATE TABLE countries (code text PRIMARY KEY);
CREATE MATERIALIZED VIEW codes AS SELECT code FROM countries;
GRANT SELECT ON codes TO case_app;
