-- broken: rows of the platform are for all to read, and the same policy lets all write them
-- says: prb_api | table app.visits | INSERT for a fixed tenant
DROP POLICY only_tenant ON app.visits;
DROP POLICY tenant ON app.visits;
CREATE POLICY tenant ON app.visits USING (tenant_id = app.tenant() OR tenant_id = '99999999-0000-4000-8000-000000000001');
