-- broken: rows of another tenant are written through a view
-- says: prb_api | view app.order_notes | UPDATE
-- says: prb_api | view app.order_notes | DELETE
CREATE VIEW app.order_notes AS SELECT tenant_id, id, note FROM app.orders;
GRANT SELECT, UPDATE, DELETE ON app.order_notes TO prb_api;
