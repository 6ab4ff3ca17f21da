CREATE TABLE shops (id bigint PRIMARY KEY, place point NOT NULL, area polygon);
CREATE TABLE prices (id bigint PRIMARY KEY, valid tstzrange NOT NULL);
CREATE TABLE hours (id bigint PRIMARY KEY, open int4multirange NOT NULL, day int NOT NULL) PARTITION BY RANGE (id);
