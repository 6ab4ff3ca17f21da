-- broken: a foreign key without the tenant leads to rows of others, and tells which there are
-- says: prb_api | table app.returns | foreign key
ALTER TABLE app.orders ADD UNIQUE (id);
CREATE TABLE app.returns (id uuid PRIMARY KEY, tenant_id uuid NOT NULL DEFAULT app.tenant(), order_id bigint REFERENCES app.orders (id));
ALTER TABLE app.returns OWNER TO prb_owner;
ALTER TABLE app.returns ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.returns USING (tenant_id = app.tenant());
GRANT SELECT, INSERT ON app.returns TO prb_api;
