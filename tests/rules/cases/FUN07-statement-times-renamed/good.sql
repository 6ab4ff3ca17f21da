CREATE FUNCTION slowest() RETURNS TABLE (query text, mean double precision) LANGUAGE plpgsql AS $$
BEGIN
    -- mean_time before 13
    RETURN QUERY SELECT s.query, s.mean_exec_time FROM pg_stat_statements s ORDER BY s.total_exec_time DESC LIMIT 10;
END $$;
CREATE FUNCTION renamed() RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT s.query, s.mean_exec_time AS mean_time FROM pg_stat_statements s ORDER BY mean_time;
END $$;
CREATE TABLE laps (total_time interval);
CREATE FUNCTION laps_total() RETURNS interval LANGUAGE sql AS $$ SELECT sum(total_time) FROM laps $$;
