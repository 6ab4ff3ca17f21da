-- Places without PostGIS. House: singular, `id`, points and boxes with GiST, distances by <->.
CREATE TABLE place (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    position point NOT NULL,
    outline polygon,
    latitude double precision GENERATED ALWAYS AS (position[1]) STORED,
    longitude double precision GENERATED ALWAYS AS (position[0]) STORED,
    elevation_m real,
    CHECK (position[1] BETWEEN -90 AND 90 AND position[0] BETWEEN -180 AND 180)
);
CREATE INDEX place_position ON place USING gist (position);
CREATE INDEX place_outline ON place USING gist (outline) WHERE outline IS NOT NULL;

CREATE TABLE area (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id bigint REFERENCES area (id),
    kind text NOT NULL CHECK (kind IN ('country', 'state', 'county', 'city')),
    iso_code varchar(6) UNIQUE,
    name text NOT NULL,
    bounds box NOT NULL
);
CREATE INDEX area_bounds ON area USING gist (bounds);
CREATE INDEX area_parent ON area (parent_id);

CREATE TABLE route_edge (
    from_place bigint NOT NULL REFERENCES place (id),
    to_place bigint NOT NULL REFERENCES place (id),
    cost double precision NOT NULL CHECK (cost >= 0),
    reverse_cost double precision NOT NULL DEFAULT -1,
    length_m real NOT NULL,
    PRIMARY KEY (from_place, to_place)
);
CREATE INDEX route_edge_back ON route_edge (to_place);

CREATE FUNCTION nearest(here point, n integer) RETURNS SETOF place LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT * FROM place ORDER BY position <-> here LIMIT n; END;
