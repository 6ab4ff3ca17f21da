CREATE TABLE visits (page text PRIMARY KEY, times integer NOT NULL DEFAULT 0);
CREATE FUNCTION visit(which text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    UPDATE visits SET times = times + 1 WHERE page = which;
END $$;
