-- broken: a view that keeps tenants apart by its WHERE alone: a cheap function in a query sees the rows before it
-- says: prb_reports | view app.my_customers | function in WHERE
CREATE VIEW app.my_customers AS SELECT tenant_id, id, country FROM app.customers WHERE tenant_id = app.tenant() AND length(email) < 200;
GRANT SELECT ON app.my_customers TO prb_reports;
