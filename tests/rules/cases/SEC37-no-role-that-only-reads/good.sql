CREATE ROLE case_app LOGIN;
CREATE ROLE case_report LOGIN IN ROLE pg_read_all_data;
CREATE TABLE orders (id bigint PRIMARY KEY);
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO case_app;
