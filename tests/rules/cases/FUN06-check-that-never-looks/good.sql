CREATE FUNCTION health() RETURNS TABLE (check_name text, status text, message text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'connectivity'::text, 'OK'::text, 'reachable'::text;
    IF pg_database_size(current_database()) > 1e11 THEN
        RETURN QUERY SELECT 'disk_space'::text, 'WARNING'::text, 'more than 100 GB'::text;
    ELSE
        RETURN QUERY SELECT 'disk_space'::text, 'OK'::text, 'less than 100 GB'::text;
    END IF;
    RETURN QUERY SELECT 'tablespaces', CASE WHEN count(*) > 2 THEN 'WARNING' ELSE 'OK' END, 'counted' FROM pg_tablespace;
END $$;
