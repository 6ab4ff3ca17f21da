-- broken: search_path is set, but pg_temp is not named, so it comes first
-- says: prb_reports | function app.my_orders() | temporary table
ALTER FUNCTION app.my_orders() SET search_path = app;
