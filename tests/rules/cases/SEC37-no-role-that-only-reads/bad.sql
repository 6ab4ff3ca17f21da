CREATE ROLE case_app LOGIN;
CREATE ROLE case_collector LOGIN;
CREATE TABLE orders (id bigint PRIMARY KEY);
CREATE TABLE clicks (id bigint PRIMARY KEY);
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO case_app;
GRANT INSERT ON clicks TO case_collector;
