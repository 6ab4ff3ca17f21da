-- broken: a definer function whose filter lets NULL mean everything
-- says: prb_api | function app.search(text) | EXECUTE
CREATE FUNCTION app.search(p_article text) RETURNS SETOF app.order_items LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM app.order_items WHERE p_article IS NULL OR (article = p_article AND tenant_id = app.tenant()) $$;
REVOKE EXECUTE ON FUNCTION app.search(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.search(text) TO prb_api;
