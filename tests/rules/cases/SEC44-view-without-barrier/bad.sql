CREATE ROLE case_app;
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, tenant_id uuid, total numeric);
CREATE VIEW my_orders AS SELECT id, total FROM orders WHERE customer = CURRENT_USER;
CREATE VIEW tenant_orders AS SELECT * FROM orders WHERE tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid;
GRANT SELECT ON my_orders, tenant_orders TO case_app;
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE RETURN current_setting('app.user', true);
CREATE VIEW asked_orders AS SELECT * FROM orders WHERE customer = who();
GRANT SELECT ON asked_orders TO case_app;
