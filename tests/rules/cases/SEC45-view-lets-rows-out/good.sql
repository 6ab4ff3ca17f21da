CREATE ROLE case_app;
CREATE TABLE customers (name text PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, total numeric);
CREATE VIEW my_orders WITH (security_barrier) AS SELECT id, customer FROM orders WHERE customer = CURRENT_USER WITH CASCADED CHECK OPTION;
CREATE VIEW read_orders WITH (security_barrier) AS SELECT id, customer FROM orders WHERE customer = CURRENT_USER;
GRANT SELECT, INSERT, UPDATE, DELETE ON my_orders TO case_app;
GRANT SELECT, DELETE ON read_orders TO case_app;
-- cannot be written through
CREATE VIEW joined_orders AS SELECT o.id, c.name FROM orders o JOIN customers c ON c.name = o.customer WHERE o.customer = CURRENT_USER;
CREATE VIEW listed_orders AS SELECT o.id, c.name FROM orders o, customers c WHERE o.customer = c.name AND o.customer = CURRENT_USER;
GRANT ALL ON joined_orders, listed_orders TO case_app;
CREATE VIEW sent_orders AS SELECT id, customer FROM orders WHERE customer = CURRENT_USER;
CREATE FUNCTION send() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO orders VALUES (NEW.id, CURRENT_USER); RETURN NEW; END $$;
CREATE TRIGGER send INSTEAD OF INSERT ON sent_orders FOR EACH ROW EXECUTE FUNCTION send();
GRANT SELECT, INSERT ON sent_orders TO case_app;
-- whose row it is cannot be written through the view
ALTER TABLE orders ALTER customer SET DEFAULT CURRENT_USER;
CREATE VIEW own_totals WITH (security_barrier) AS SELECT id, total FROM orders WHERE customer = CURRENT_USER;
GRANT SELECT, INSERT, UPDATE ON own_totals TO case_app;
