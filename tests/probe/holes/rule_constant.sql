-- broken: a rule writes a row of one fixed tenant beside each order, with the rights of the table's owner
-- says: prb_api | table app.orders | INSERT own
DROP POLICY only_tenant ON app.visits;
CREATE POLICY platform ON app.visits FOR INSERT TO prb_owner WITH CHECK (true);
CREATE RULE also AS ON INSERT TO app.orders DO ALSO
    INSERT INTO app.visits VALUES ('99999999-0000-4000-8000-000000000001', '2026-05-01', 'order');
