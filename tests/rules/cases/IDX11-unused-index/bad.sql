CREATE TABLE readings (
    reading_id bigint PRIMARY KEY,
    note text NOT NULL
);
INSERT INTO readings SELECT n, 'reading number ' || n FROM generate_series(1, 60000) AS n;
CREATE INDEX idx_readings_note ON readings (note);
ANALYZE readings;
DO $$
BEGIN
    SET enable_seqscan = off;
    FOR n IN 1..2000 LOOP
        PERFORM FROM readings WHERE reading_id = n;
    END LOOP;
    PERFORM pg_stat_force_next_flush();
END
$$;
