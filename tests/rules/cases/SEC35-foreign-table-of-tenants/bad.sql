CREATE EXTENSION postgres_fdw;
CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'archive', dbname 'shop');
CREATE ROLE case_app;
CREATE FOREIGN TABLE archived_orders (tenant_id uuid NOT NULL, order_id uuid NOT NULL) SERVER archive;
GRANT SELECT ON archived_orders TO case_app;
