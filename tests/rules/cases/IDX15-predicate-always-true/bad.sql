CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL, city text);
CREATE UNIQUE INDEX users_email ON users (email) WHERE email IS NOT NULL;
CREATE INDEX users_name ON users (name DESC) INCLUDE (city) WHERE name IS NOT NULL AND email IS NOT NULL;
CREATE INDEX users_city ON users (city) INCLUDE (name) WHERE true;
