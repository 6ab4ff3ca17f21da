CREATE TABLE vehicles (
    vehicle_id uuid PRIMARY KEY
);
CREATE TABLE cars (
    doors smallint
) INHERITS (vehicles);
CREATE TABLE trucks (
    axles smallint
) INHERITS (vehicles);
