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
