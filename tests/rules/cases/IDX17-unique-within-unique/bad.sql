CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL, CONSTRAINT users_twice UNIQUE (id, name));
CREATE UNIQUE INDEX users_email_name ON users (email, name);
