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
