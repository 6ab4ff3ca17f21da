CREATE TABLE visits (page text PRIMARY KEY, times integer NOT NULL DEFAULT 0);
CREATE FUNCTION visit(which text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE visits SET times = times + 1 WHERE page = which;
END $$;
CREATE FUNCTION visits_of(which text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    last_update integer;
BEGIN
    -- UPDATE visits SET times = 1;
    SELECT times INTO last_update FROM visits WHERE page = which;
    RETURN last_update;
END $$;
