-- broken: the policy for INSERT checks nothing
-- says: prb_api | table app.orders | INSERT
DROP POLICY only_tenant ON app.orders;
CREATE POLICY adds ON app.orders FOR INSERT WITH CHECK (true);
