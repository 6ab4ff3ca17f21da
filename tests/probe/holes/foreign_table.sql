-- broken: a foreign table with rows of all tenants: no row policy can stand on it
-- says: prb_reports | table app.archived_orders | SELECT
CREATE EXTENSION postgres_fdw;
CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'archive.invalid', dbname 'archive');
CREATE FOREIGN TABLE app.archived_orders (tenant_id uuid NOT NULL, id bigint NOT NULL, total numeric(10, 2)) SERVER archive;
ALTER FOREIGN TABLE app.archived_orders OWNER TO prb_owner;
GRANT SELECT ON app.archived_orders TO prb_reports;
