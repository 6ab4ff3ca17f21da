CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    birth_date date,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- as the source has it: "about 1850"
    baptism_date_text text,
    -- a place and a format
    employed_at text,
    date_format text
);

-- everything comes in as text
CREATE SCHEMA staging;
CREATE TABLE staging.rows_read (created_at text, birth_date varchar(20));
CREATE TABLE order_imports (created_at text, birth_date varchar(20));

-- a partial date, and the CHECK says how it is written
CREATE TABLE partial_dates (partial_date_id bigint PRIMARY KEY, start_date text NOT NULL CHECK (start_date ~ '^\d{4}(-\d\d)?$'));
