CREATE TABLE stations (
    station_id bigint PRIMARY KEY
);
INSERT INTO stations SELECT n FROM generate_series(1, 10) AS n;
CREATE TABLE readings (
    reading_id bigint PRIMARY KEY,
    station_id bigint NOT NULL REFERENCES stations,
    note text NOT NULL
);
INSERT INTO readings SELECT n, n % 10 + 1, 'reading number ' || n FROM generate_series(1, 60000) AS n;
-- deleting a station needs it
CREATE INDEX idx_readings_station_id ON readings (station_id);
CREATE INDEX idx_readings_note ON readings (note);
-- a rule, not a search
CREATE UNIQUE INDEX uq_readings_note ON readings (lower(note));
ANALYZE readings;
DO $$
BEGIN
    SET enable_seqscan = off;
    FOR n IN 1..2000 LOOP
        PERFORM FROM readings WHERE reading_id = n;
        PERFORM FROM readings WHERE note = 'reading number ' || n;
    END LOOP;
    PERFORM pg_stat_force_next_flush();
END
$$;
