-- broken: the function that reads the setting says it is immutable, so a prepared statement keeps the tenant it was planned for
-- says: prb_api | table app.orders | prepared statement
ALTER FUNCTION app.tenant() IMMUTABLE;
ALTER FUNCTION app.tenant() RESET search_path;
