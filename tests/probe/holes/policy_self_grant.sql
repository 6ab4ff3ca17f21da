-- broken: who belongs to which tenant is looked up in a table that everybody may write
-- base: users
-- says: prb_api | table app.notes | self-made membership
CREATE TABLE app.memberships (of bigint NOT NULL, workspace bigint NOT NULL REFERENCES app.tenants, PRIMARY KEY (of, workspace));
GRANT SELECT, INSERT ON app.memberships TO prb_api;
DROP POLICY tenant ON app.notes;
DROP POLICY rows ON app.notes;
CREATE POLICY rows ON app.notes FOR SELECT USING (tenant_id IN (
    SELECT m.workspace FROM app.memberships m WHERE m.of = nullif(current_setting('pgcharter.actor', true), '')::bigint));
