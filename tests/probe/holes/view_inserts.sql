-- broken: a view takes rows of another tenant
-- says: prb_api | view app.order_lines | INSERT
CREATE VIEW app.order_lines AS SELECT * FROM app.order_items;
GRANT INSERT ON app.order_lines TO prb_api;
