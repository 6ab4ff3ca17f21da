CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    middle_name varchar(50) DEFAULT NULL,
    answer jsonb NOT NULL DEFAULT 'null',
    note text NOT NULL DEFAULT ''
);
