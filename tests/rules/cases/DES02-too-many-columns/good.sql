CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    name text NOT NULL
);
CREATE TABLE user_addresses (
    user_id uuid PRIMARY KEY REFERENCES users,
    street text NOT NULL,
    city text NOT NULL
);
