CREATE EXTENSION btree_gist;
CREATE TABLE shops (id bigint PRIMARY KEY, place point NOT NULL, outline path, "window" int4range[]);
CREATE INDEX ON shops USING gist (place);
CREATE TABLE bookings (room int NOT NULL, during tstzrange NOT NULL, EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE TABLE prices (id bigint PRIMARY KEY, valid daterange NOT NULL);
CREATE INDEX ON prices (lower(valid));
CREATE TABLE hours (id bigint PRIMARY KEY, open int4multirange NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE hours_1 PARTITION OF hours FOR VALUES FROM (1) TO (1000);
CREATE INDEX ON hours_1 USING gist (open);
-- a type of the house's own that only sounds like it
CREATE TYPE geometry AS (width int, height int);
CREATE TABLE frames (id bigint PRIMARY KEY, size geometry);
CREATE SCHEMA staging;
CREATE TABLE staging.places (place point);
