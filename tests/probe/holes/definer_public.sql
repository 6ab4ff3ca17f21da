-- broken: EXECUTE on a definer function is left to PUBLIC, and the schema is open
-- says: PUBLIC | function app.my_orders() | EXECUTE
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT EXECUTE ON FUNCTION app.my_orders() TO PUBLIC;
