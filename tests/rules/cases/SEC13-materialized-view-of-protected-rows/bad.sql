CREATE ROLE case_app;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE MATERIALIZED VIEW shared AS SELECT id FROM documents;
GRANT SELECT ON shared TO case_app;
