-- broken: a definer function writes rows of one fixed tenant
-- says: prb_reports | function app.note_visit(text) | EXECUTE
CREATE FUNCTION app.note_visit(page text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ INSERT INTO visits VALUES ('99999999-0000-4000-8000-000000000001', '2026-05-01', page) $$;
ALTER FUNCTION app.note_visit(text) OWNER TO prb_maintenance;
REVOKE EXECUTE ON FUNCTION app.note_visit(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.note_visit(text) TO prb_reports;
