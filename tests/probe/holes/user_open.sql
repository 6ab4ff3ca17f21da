-- base: users
-- broken: rows of one user are read and written by others of the tenant
-- says: prb_api | table app.drafts | SELECT
-- says: prb_api | table app.drafts | INSERT for another user
DROP POLICY own ON app.drafts;
DROP POLICY changes ON app.drafts;
CREATE POLICY own ON app.drafts AS RESTRICTIVE USING (user_id = nullif(current_setting('pgcharter.actor', true), '')::bigint OR body <> 'x');
CREATE POLICY changes ON app.drafts USING (true);
