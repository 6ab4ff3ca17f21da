CREATE TABLE visits (page text PRIMARY KEY);
CREATE FUNCTION visit(which text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO visits VALUES (which);
EXCEPTION
    WHEN unique_violation THEN
        NULL;
    WHEN OTHERS THEN
        RAISE WARNING 'visit not counted: %', sqlerrm;
END $$;
