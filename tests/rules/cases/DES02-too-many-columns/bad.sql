CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    name text,
    street text,
    city text,
    newsletter boolean
);
