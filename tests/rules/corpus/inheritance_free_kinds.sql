-- Kinds of one thing, by shared key; logs; a table that only its owner touches; views over views; overloaded functions.
CREATE TABLE asset (
    asset_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('vehicle', 'building')),
    name text NOT NULL,
    acquired_on date NOT NULL,
    UNIQUE (asset_id, kind)
);
CREATE TABLE vehicle (
    asset_id bigint PRIMARY KEY,
    kind text NOT NULL DEFAULT 'vehicle' CHECK (kind = 'vehicle'),
    plate text NOT NULL UNIQUE,
    vin char(17) NOT NULL UNIQUE,
    FOREIGN KEY (asset_id, kind) REFERENCES asset (asset_id, kind) ON DELETE CASCADE
);
CREATE TABLE building (
    asset_id bigint PRIMARY KEY,
    kind text NOT NULL DEFAULT 'building' CHECK (kind = 'building'),
    floors smallint NOT NULL,
    floor_area numeric(10, 2) NOT NULL,
    FOREIGN KEY (asset_id, kind) REFERENCES asset (asset_id, kind) ON DELETE CASCADE
);
CREATE TABLE valuation (
    asset_id bigint NOT NULL REFERENCES asset ON DELETE CASCADE,
    valued_on date NOT NULL,
    value numeric(14, 2) NOT NULL,
    method text NOT NULL,
    PRIMARY KEY (asset_id, valued_on)
);
CREATE TABLE request_log (
    request_id uuid NOT NULL,
    logged_at timestamptz NOT NULL DEFAULT now(),
    level text NOT NULL,
    message text NOT NULL,
    context jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (logged_at, request_id)
) PARTITION BY RANGE (logged_at);
CREATE TABLE request_log_2026 PARTITION OF request_log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE request_log_2027 PARTITION OF request_log FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE INDEX request_log_errors ON request_log (logged_at) WHERE level = 'error';

CREATE FUNCTION worth(bigint) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT value FROM valuation WHERE asset_id = $1 ORDER BY valued_on DESC LIMIT 1';
CREATE FUNCTION worth(bigint, date) RETURNS numeric LANGUAGE sql STABLE
    AS 'SELECT value FROM valuation WHERE asset_id = $1 AND valued_on <= $2 ORDER BY valued_on DESC LIMIT 1';
CREATE FUNCTION round_half_even(x numeric, digits integer DEFAULT 2) RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    shifted numeric := x * 10 ^ digits;
BEGIN
    -- ties go to the even neighbour: no clock, no table, whatever the words update, delete from and now() in this line say
    IF shifted - floor(shifted) = 0.5 THEN
        RETURN (2 * round(shifted / 2)) / 10 ^ digits;
    END IF;
    RETURN round(x, digits);
END $$;
CREATE VIEW asset_value AS SELECT a.asset_id, a.kind, a.name, worth(a.asset_id) AS value FROM asset a;
CREATE VIEW value_by_kind AS SELECT kind, sum(value) AS value FROM asset_value GROUP BY kind;
CREATE MATERIALIZED VIEW value_by_day AS
    SELECT valued_on, sum(value) AS value FROM valuation GROUP BY valued_on;
CREATE UNIQUE INDEX value_by_day_key ON value_by_day (valued_on);
-- Health: answers because it looked.
CREATE FUNCTION health() RETURNS TABLE (what text, state text) LANGUAGE sql STABLE AS $$
    SELECT 'database size', CASE WHEN pg_database_size(current_database()) < 5e11 THEN 'ok' ELSE 'too large for its disk' END
    UNION ALL SELECT 'connection', 'ok'
$$;
