CREATE FUNCTION count_rows(which text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE 'SELECT count(*) FROM ' || which INTO result;
    RETURN result;
END $$;
CREATE FUNCTION find_user(wanted text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    query text;
    result bigint;
BEGIN
    query := format('SELECT id FROM users WHERE name = ''%s''', wanted);
    EXECUTE query INTO result;
    RETURN result;
END $$;
