-- broken: a privilege was left to PUBLIC
-- says: PUBLIC | table app.orders | SELECT
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT SELECT ON app.orders TO PUBLIC;
GRANT EXECUTE ON FUNCTION app.tenant() TO PUBLIC;
