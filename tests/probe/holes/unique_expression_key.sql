-- broken: a primary key that people choose, without the tenant
-- says: prb_api | table app.coupons | unique key
CREATE TABLE app.coupons (code text PRIMARY KEY, tenant_id uuid NOT NULL DEFAULT app.tenant() REFERENCES app.tenants, percent integer);
ALTER TABLE app.coupons OWNER TO prb_owner;
ALTER TABLE app.coupons ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.coupons USING (tenant_id = app.tenant());
GRANT SELECT, INSERT ON app.coupons TO prb_api;
