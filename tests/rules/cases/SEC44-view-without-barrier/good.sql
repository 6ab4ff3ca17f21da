CREATE ROLE case_app;
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, total numeric);
CREATE VIEW my_orders WITH (security_barrier) AS SELECT id, total FROM orders WHERE customer = CURRENT_USER;
CREATE VIEW their_orders WITH (security_invoker) AS SELECT id, total FROM orders WHERE customer = CURRENT_USER;
-- the same rows for everybody
CREATE VIEW large_orders AS SELECT id, total, CURRENT_USER AS reader FROM orders WHERE total > 1000 AND customer <> 'CURRENT_USER';
-- for nobody else
CREATE VIEW own_orders AS SELECT id FROM orders WHERE customer = CURRENT_USER;
GRANT SELECT ON my_orders, their_orders, large_orders TO case_app;
