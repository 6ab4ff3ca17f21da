-- broken: a definer function finds a customer by e-mail address, of whatever tenant
-- says: prb_reports | function app.find_customer(text) | EXECUTE
CREATE FUNCTION app.find_customer(p_email text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT id FROM customers WHERE email = lower(p_email) $$;
ALTER FUNCTION app.find_customer(text) OWNER TO prb_maintenance;
REVOKE EXECUTE ON FUNCTION app.find_customer(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.find_customer(text) TO prb_reports;
