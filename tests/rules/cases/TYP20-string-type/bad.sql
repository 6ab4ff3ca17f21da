CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    name varchar(100) NOT NULL,
    country varchar
);
