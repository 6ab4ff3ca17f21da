CREATE ROLE case_app;
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, total numeric);
CREATE VIEW my_orders WITH (security_barrier) AS SELECT id, total FROM orders WHERE customer = CURRENT_USER;
CREATE VIEW their_orders WITH (security_invoker) AS SELECT id, total FROM orders WHERE customer = CURRENT_USER;
-- the same rows for everybody
CREATE VIEW large_orders AS SELECT id, total, CURRENT_USER AS reader FROM orders WHERE total > 1000 AND customer <> 'CURRENT_USER';
-- for nobody else
CREATE VIEW own_orders AS SELECT id FROM orders WHERE customer = CURRENT_USER;
GRANT SELECT ON my_orders, their_orders, large_orders TO case_app;
-- nothing to hide: the rows are in catalogs that everybody reads
CREATE VIEW my_tables AS SELECT tablename FROM pg_catalog.pg_tables WHERE tableowner = CURRENT_USER;
-- all rows for all; only a mark tells who asks
CREATE TABLE likes (order_id bigint NOT NULL, reader text NOT NULL, PRIMARY KEY (order_id, reader));
CREATE VIEW liked_orders AS
SELECT id, EXISTS (SELECT FROM likes l WHERE l.order_id = o.id AND l.reader = CURRENT_USER) AS liked FROM orders o WHERE total > 0;
-- how rows are shown, not which may be seen
CREATE TABLE labels (label text NOT NULL, locale text NOT NULL, words text NOT NULL, PRIMARY KEY (label, locale));
CREATE VIEW my_labels AS SELECT label, words FROM labels WHERE locale = current_setting('app.locale', true);
CREATE VIEW recent AS SELECT id FROM orders WHERE id > current_setting('server_version_num')::int;
GRANT SELECT ON my_tables, liked_orders, my_labels, recent TO case_app;
