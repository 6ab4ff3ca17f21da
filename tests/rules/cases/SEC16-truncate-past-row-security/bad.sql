CREATE ROLE case_app;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
GRANT ALL ON documents TO case_app;
