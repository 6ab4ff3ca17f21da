-- broken: a view without a barrier, on a database where nobody may make temporary functions: an error message tells the value
-- says: prb_reports | view app.my_customers | error message
CREATE VIEW app.my_customers AS SELECT tenant_id, id, country FROM app.customers WHERE country <> '' AND tenant_id = app.tenant();
GRANT SELECT ON app.my_customers TO prb_reports;
REVOKE TEMPORARY ON DATABASE prb_case FROM PUBLIC;
