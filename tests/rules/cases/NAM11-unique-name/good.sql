CREATE TABLE users (id bigint PRIMARY KEY, email text, login text, CONSTRAINT uq_users_email UNIQUE (email));
CREATE UNIQUE INDEX uq_users_login ON users (lower(login));
CREATE INDEX users_email_login ON users (email, login);
