-- broken: an heir has no row security of its own
-- says: prb_api | table app.old_customers | SELECT
CREATE TABLE app.old_customers (left_at date) INHERITS (app.customers);
ALTER TABLE app.old_customers OWNER TO prb_owner;
GRANT SELECT ON app.old_customers TO prb_api;
