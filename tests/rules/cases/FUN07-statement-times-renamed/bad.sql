CREATE FUNCTION slowest() RETURNS TABLE (query text, mean double precision) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT s.query, s.mean_time FROM pg_stat_statements s ORDER BY s.total_time DESC LIMIT 10;
END $$;
