-- broken: a table with the tenant's column has no row security and no policy
-- says: prb_api | table app.invoices | SELECT
CREATE TABLE app.invoices (tenant_id uuid NOT NULL REFERENCES app.tenants, id uuid PRIMARY KEY, total numeric(10, 2));
ALTER TABLE app.invoices OWNER TO prb_owner;
GRANT SELECT, INSERT ON app.invoices TO prb_api;
