-- since: 18
-- What 18 brings: keys of periods, virtual columns, named NOT NULL, uuid version 7, skip scans need no further index.
CREATE EXTENSION btree_gist;
CREATE TABLE contracts (
    contract_id bigint NOT NULL,
    valid_at daterange NOT NULL,
    party text CONSTRAINT contract_has_a_party NOT NULL,
    monthly numeric(10, 2) NOT NULL CHECK (monthly >= 0),
    yearly numeric(12, 2) GENERATED ALWAYS AS (monthly * 12) VIRTUAL,
    PRIMARY KEY (contract_id, valid_at WITHOUT OVERLAPS)
);
CREATE TABLE addenda (
    addendum_id uuid PRIMARY KEY DEFAULT uuidv7(),
    contract_id bigint NOT NULL,
    valid_at daterange NOT NULL,
    wording text NOT NULL,
    CONSTRAINT one_addendum_at_a_time UNIQUE (contract_id, valid_at WITHOUT OVERLAPS),
    FOREIGN KEY (contract_id, PERIOD valid_at) REFERENCES contracts (contract_id, PERIOD valid_at)
);
CREATE TABLE arrivals (
    arrival_id uuid PRIMARY KEY DEFAULT uuidv7(),
    gate smallint NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now(),
    waited interval GENERATED ALWAYS AS (CASE WHEN gate > 10 THEN interval '5 minutes' ELSE interval '0' END) VIRTUAL
);
CREATE INDEX ON arrivals USING brin (arrival_id);
CREATE INDEX ON arrivals (gate, arrived_at);
CREATE TABLE base_facts (fact_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, told text NOT NULL, CONSTRAINT told_is_something CHECK (told <> ''));
