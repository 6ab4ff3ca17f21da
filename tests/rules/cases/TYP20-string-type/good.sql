CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) <= 100),
    country char(2),
    tags varchar(20)[]
);
