CREATE FUNCTION count_rows(which regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE 'SELECT count(*) FROM ' || which INTO result;
    RETURN result;
END $$;
CREATE FUNCTION find_user(wanted text, in_table text, columns integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
    note text := 'looking for ' || wanted;
BEGIN
    EXECUTE format('SELECT id FROM %I WHERE name = $1', in_table) INTO result USING wanted;
    EXECUTE 'SELECT id FROM ' || quote_ident(in_table) || ' WHERE name = ' || quote_literal(wanted) || ' LIMIT ' || columns INTO result;
    EXECUTE format('SELECT %L || ''%s''', wanted, columns) INTO note;
    RETURN result;
END $$;

-- compared with a list first
CREATE FUNCTION sorted(relation regclass, direction text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF direction NOT IN ('asc', 'desc') THEN
        RAISE EXCEPTION 'no such direction: %', direction;
    END IF;
    EXECUTE 'SELECT 1 FROM ' || relation || ' ORDER BY 1 ' || direction;
END $$;
