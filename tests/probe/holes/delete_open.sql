-- broken: the policies for reading and for deleting let everybody at every row
-- says: prb_api | table app.visits | DELETE
DROP POLICY only_tenant ON app.visits;
DROP POLICY tenant ON app.visits;
CREATE POLICY reads ON app.visits FOR SELECT USING (true);
CREATE POLICY deletes ON app.visits FOR DELETE USING (true);
