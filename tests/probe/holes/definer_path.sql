-- broken: a definer function without search_path finds the caller's temporary tables
-- says: prb_api | function app.my_orders() | temporary table
ALTER FUNCTION app.my_orders() RESET search_path;
