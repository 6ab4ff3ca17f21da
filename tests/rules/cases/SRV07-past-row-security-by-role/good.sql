CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE ROLE case_report LOGIN;
CREATE ROLE case_maintenance NOLOGIN BYPASSRLS;
