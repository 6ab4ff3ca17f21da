-- broken: a rule deletes with the rights of the view's owner
-- says: prb_api | view app.numbers_of_orders | DELETE
CREATE VIEW app.numbers_of_orders AS SELECT DISTINCT tenant_id, id FROM app.orders;
CREATE RULE gone AS ON DELETE TO app.numbers_of_orders DO INSTEAD DELETE FROM app.orders o WHERE o.id = OLD.id;
GRANT SELECT, DELETE ON app.numbers_of_orders TO prb_api;
