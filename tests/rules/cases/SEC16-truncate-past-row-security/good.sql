CREATE ROLE case_app;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON documents TO case_app;
CREATE TABLE staging (id bigint PRIMARY KEY);
GRANT ALL ON staging TO case_app;
