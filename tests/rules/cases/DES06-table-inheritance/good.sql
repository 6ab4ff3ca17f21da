CREATE TABLE vehicles (
    vehicle_id uuid PRIMARY KEY
);
CREATE TABLE cars (
    vehicle_id uuid PRIMARY KEY REFERENCES vehicles ON DELETE CASCADE,
    doors smallint
);
CREATE TABLE trips (
    vehicle_id uuid NOT NULL,
    driven_on date NOT NULL
) PARTITION BY RANGE (driven_on);
CREATE TABLE trips_2026 PARTITION OF trips FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
