CREATE ROLE case_migrator;
CREATE ROLE case_other;
CREATE ROLE case_reader;
CREATE SCHEMA app;
CREATE SCHEMA side;
GRANT ALL ON SCHEMA app, side TO case_migrator, case_other;
ALTER DEFAULT PRIVILEGES FOR ROLE case_migrator IN SCHEMA app GRANT SELECT ON TABLES TO case_reader;
-- declared for both: the administrator's own is idle
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO case_reader;
SET ROLE case_migrator;
CREATE TABLE app.orders (id bigint PRIMARY KEY);
CREATE TABLE app.items (id bigint PRIMARY KEY);
RESET ROLE;
-- idle, but everything is granted by hand
ALTER DEFAULT PRIVILEGES FOR ROLE case_other IN SCHEMA side GRANT SELECT ON TABLES TO case_reader;
SET ROLE case_migrator;
CREATE TABLE side.a (id bigint PRIMARY KEY);
CREATE TABLE side.b (id bigint PRIMARY KEY);
GRANT SELECT ON side.a, side.b TO case_reader;
-- one table that is not for others
CREATE TABLE side.secrets (id bigint PRIMARY KEY);
RESET ROLE;
-- everywhere, for what another one will load: the reader has nothing to do with the tables of the application
CREATE ROLE case_loader;
CREATE ROLE case_analyst;
ALTER DEFAULT PRIVILEGES FOR ROLE case_loader GRANT SELECT ON TABLES TO case_analyst;
