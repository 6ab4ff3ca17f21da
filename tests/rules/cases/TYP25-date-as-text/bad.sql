CREATE TABLE people (
    person_id uuid PRIMARY KEY,
    birth_date varchar(10),
    "createdAt" text NOT NULL
);
