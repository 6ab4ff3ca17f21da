CREATE ROLE case_admin;
CREATE ROLE case_migrator;
CREATE ROLE case_reader;
CREATE ROLE case_auditor;
CREATE SCHEMA app;
GRANT ALL ON SCHEMA app TO case_migrator;
-- the administrator makes no tables
ALTER DEFAULT PRIVILEGES FOR ROLE case_admin IN SCHEMA app GRANT SELECT ON TABLES TO case_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE case_auditor GRANT SELECT, INSERT ON TABLES TO case_reader;
SET ROLE case_migrator;
CREATE TABLE app.orders (id bigint PRIMARY KEY);
CREATE TABLE app.items (id bigint PRIMARY KEY);
CREATE TABLE app.products (id bigint PRIMARY KEY);
GRANT SELECT ON app.products TO case_reader;
RESET ROLE;
