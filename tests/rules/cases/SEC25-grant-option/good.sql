CREATE ROLE case_app;
CREATE TABLE orders (id bigint PRIMARY KEY);
GRANT SELECT, INSERT ON orders TO case_app;
