CREATE EXTENSION postgres_fdw;
CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'archive', dbname 'shop');
CREATE ROLE case_app;
CREATE FOREIGN TABLE archived_orders (tenant_id uuid NOT NULL, order_id uuid NOT NULL) SERVER archive;
CREATE FOREIGN TABLE rates (day date NOT NULL, rate numeric) SERVER archive;
GRANT SELECT ON rates TO case_app;
CREATE VIEW my_archived_orders WITH (security_barrier) AS
    SELECT * FROM archived_orders WHERE tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid;
GRANT SELECT ON my_archived_orders TO case_app;
