CREATE TABLE visits (page text PRIMARY KEY);
CREATE FUNCTION visit(which text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO visits VALUES (which);
EXCEPTION
    WHEN OTHERS THEN
        NULL; -- never mind
END $$;
