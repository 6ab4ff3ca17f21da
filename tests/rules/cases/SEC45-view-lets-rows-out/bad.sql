CREATE ROLE case_app;
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, total numeric);
CREATE VIEW my_orders WITH (security_barrier) AS SELECT id, customer, total FROM orders WHERE customer = CURRENT_USER;
GRANT SELECT, INSERT, UPDATE ON my_orders TO case_app;
