-- Measurements, partitioned by month, each month by hash of the device. House: schema per layer, no surrogate keys on facts.
CREATE SCHEMA telemetry;

CREATE TABLE telemetry.sites (
    site_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    time_zone text NOT NULL DEFAULT 'UTC',
    opens_local_at time,
    position point
);
CREATE TABLE telemetry.devices (
    device_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id integer NOT NULL REFERENCES telemetry.sites ON DELETE RESTRICT,
    serial_number text NOT NULL UNIQUE,
    mac macaddr NOT NULL UNIQUE,
    address inet,
    firmware text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX devices_site_id ON telemetry.devices (site_id);

CREATE TABLE telemetry.readings (
    device_id bigint NOT NULL REFERENCES telemetry.devices,
    metric smallint NOT NULL,
    measured_at timestamptz NOT NULL,
    value double precision NOT NULL,
    quality smallint NOT NULL DEFAULT 100 CHECK (quality BETWEEN 0 AND 100),
    PRIMARY KEY (device_id, metric, measured_at)
) PARTITION BY RANGE (measured_at);
CREATE INDEX readings_measured_at ON telemetry.readings USING brin (measured_at);

CREATE TABLE telemetry.readings_2026_01 PARTITION OF telemetry.readings
    FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00') PARTITION BY HASH (device_id);
CREATE TABLE telemetry.readings_2026_01_0 PARTITION OF telemetry.readings_2026_01 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE telemetry.readings_2026_01_1 PARTITION OF telemetry.readings_2026_01 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE telemetry.readings_2026_02 PARTITION OF telemetry.readings
    FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00') PARTITION BY HASH (device_id);
CREATE TABLE telemetry.readings_2026_02_0 PARTITION OF telemetry.readings_2026_02 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE telemetry.readings_2026_02_1 PARTITION OF telemetry.readings_2026_02 FOR VALUES WITH (MODULUS 2, REMAINDER 1);

-- Kinds of alarm by list, with a default for kinds that newer firmware invents.
CREATE TABLE telemetry.alarms (
    alarm_id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    device_id bigint NOT NULL REFERENCES telemetry.devices,
    raised_at timestamptz NOT NULL,
    cleared_at timestamptz,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (alarm_id, kind)
) PARTITION BY LIST (kind);
CREATE INDEX alarms_device_id ON telemetry.alarms (device_id, raised_at);
CREATE TABLE telemetry.alarms_critical PARTITION OF telemetry.alarms FOR VALUES IN ('fire', 'flood', 'intrusion');
CREATE TABLE telemetry.alarms_other PARTITION OF telemetry.alarms DEFAULT;

CREATE TABLE telemetry.hourly (
    device_id bigint NOT NULL REFERENCES telemetry.devices ON DELETE CASCADE,
    metric smallint NOT NULL,
    hour timestamptz NOT NULL CHECK (hour = date_trunc('hour', hour, 'UTC')),
    n integer NOT NULL,
    mean double precision NOT NULL,
    p50 double precision NOT NULL,
    p95 double precision NOT NULL,
    p99 double precision NOT NULL,
    PRIMARY KEY (device_id, metric, hour)
);

-- A phase per conductor: three of them, by physics.
CREATE TABLE telemetry.power_samples (
    device_id bigint NOT NULL REFERENCES telemetry.devices ON DELETE CASCADE,
    sampled_at timestamptz NOT NULL,
    l1_current real, l2_current real, l3_current real,
    phase1 integer, phase2 integer, phase3 integer,
    PRIMARY KEY (device_id, sampled_at)
);

CREATE VIEW telemetry.latest AS
    SELECT DISTINCT ON (device_id, metric) device_id, metric, measured_at, value
    FROM telemetry.readings ORDER BY device_id, metric, measured_at DESC;
