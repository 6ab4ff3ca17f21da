CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, login text);
CREATE UNIQUE INDEX users_login ON users (lower(login));
