-- broken: a computed column with its owner's rights looks up whatever customer the given row names
-- says: prb_reports | function app.customer_email(app.orders) | EXECUTE
CREATE FUNCTION app.customer_email(app.orders) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT email FROM customers WHERE id = $1.customer_id $$;
ALTER FUNCTION app.customer_email(app.orders) OWNER TO prb_maintenance;
REVOKE EXECUTE ON FUNCTION app.customer_email(app.orders) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.customer_email(app.orders) TO prb_reports;
