CREATE ROLE case_app;
CREATE SCHEMA app;
GRANT USAGE, CREATE ON SCHEMA app TO case_app;
CREATE TABLE app.orders (id bigint PRIMARY KEY);
GRANT SELECT, INSERT ON app.orders TO case_app;
