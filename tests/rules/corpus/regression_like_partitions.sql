-- Partition trees of every sort, of one level and of three; inheritance where it is right: children that share nothing but columns.
CREATE TABLE readings (
    sensor_id integer NOT NULL,
    read_at timestamptz NOT NULL,
    value double precision NOT NULL,
    quality smallint,
    PRIMARY KEY (sensor_id, read_at)
) PARTITION BY RANGE (read_at);
CREATE INDEX readings_by_time ON readings (read_at);
CREATE TABLE readings_2024 PARTITION OF readings FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE readings_2025 PARTITION OF readings FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY HASH (sensor_id);
CREATE TABLE readings_2025_0 PARTITION OF readings_2025 FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE readings_2025_1 PARTITION OF readings_2025 FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE readings_2025_2 PARTITION OF readings_2025 FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE readings_2025_3 PARTITION OF readings_2025 FOR VALUES WITH (MODULUS 4, REMAINDER 3);
CREATE TABLE readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO (MAXVALUE) WITH (fillfactor = 90);

CREATE TABLE parcels (
    region text NOT NULL,
    parcel_no bigint NOT NULL,
    weight_g integer NOT NULL CHECK (weight_g > 0),
    packed_on date NOT NULL,
    PRIMARY KEY (region, packed_on, parcel_no)
) PARTITION BY LIST (region);
CREATE TABLE parcels_eu PARTITION OF parcels FOR VALUES IN ('de', 'fr', 'nl') PARTITION BY RANGE (packed_on);
CREATE TABLE parcels_eu_2025 PARTITION OF parcels_eu FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY HASH (parcel_no);
CREATE TABLE parcels_eu_2025_a PARTITION OF parcels_eu_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parcels_eu_2025_b PARTITION OF parcels_eu_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parcels_eu_2026 PARTITION OF parcels_eu FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE parcels_us PARTITION OF parcels FOR VALUES IN ('us');

-- a foreign key to a partitioned table, and one from it
CREATE TABLE parcel_scans (
    region text NOT NULL,
    packed_on date NOT NULL,
    parcel_no bigint NOT NULL,
    scanned_at timestamptz NOT NULL,
    sensor_id integer,
    read_at timestamptz,
    PRIMARY KEY (region, packed_on, parcel_no, scanned_at),
    FOREIGN KEY (region, packed_on, parcel_no) REFERENCES parcels ON DELETE CASCADE,
    FOREIGN KEY (sensor_id, read_at) REFERENCES readings MATCH FULL ON DELETE SET NULL
) PARTITION BY HASH (region, packed_on, parcel_no);
CREATE TABLE parcel_scans_0 PARTITION OF parcel_scans FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parcel_scans_1 PARTITION OF parcel_scans FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX ON parcel_scans (sensor_id, read_at);

-- two columns split the table; its key was added later
CREATE TABLE visits (
    visited_at timestamptz NOT NULL,
    site text NOT NULL,
    visitor text NOT NULL,
    came_from text
) PARTITION BY RANGE (site, visited_at);
ALTER TABLE visits ADD PRIMARY KEY (visitor, site, visited_at);
CREATE TABLE visits_a PARTITION OF visits FOR VALUES FROM ('a', MINVALUE) TO ('n', MINVALUE);
CREATE TABLE visits_n PARTITION OF visits FOR VALUES FROM ('n', MINVALUE) TO ('{', MAXVALUE);

-- attached later, with a constraint that spared the scan; a partition may have columns in another order
CREATE TABLE ledger_lines (account_id integer NOT NULL, booked_on date NOT NULL, line_no integer NOT NULL, amount numeric(12, 2) NOT NULL,
    PRIMARY KEY (account_id, booked_on, line_no)) PARTITION BY RANGE (booked_on);
CREATE TABLE ledger_lines_old (line_no integer NOT NULL, amount numeric(12, 2) NOT NULL, booked_on date NOT NULL, account_id integer NOT NULL,
    CHECK (booked_on >= '2020-01-01' AND booked_on < '2025-01-01'));
ALTER TABLE ledger_lines ATTACH PARTITION ledger_lines_old FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE ledger_lines_new PARTITION OF ledger_lines FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');

CREATE PUBLICATION everything_read FOR TABLE readings, parcels WITH (publish_via_partition_root = true);
CREATE STATISTICS readings_quality (dependencies, ndistinct, mcv) ON sensor_id, quality FROM readings;
