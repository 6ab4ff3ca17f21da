-- broken: a view of guarded tables is left to PUBLIC
-- says: PUBLIC | view app.mine | SELECT
GRANT USAGE ON SCHEMA app TO PUBLIC;
ALTER VIEW app.mine RESET (security_invoker);
GRANT SELECT ON app.mine TO PUBLIC;
GRANT EXECUTE ON FUNCTION app.tenant() TO PUBLIC;
