CREATE ROLE case_app;
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
-- the telephone number of a shop
CREATE TABLE shops (id bigint PRIMARY KEY, phone text NOT NULL, email text NOT NULL);
GRANT SELECT ON countries, shops TO PUBLIC;
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, email_verified boolean NOT NULL, country text NOT NULL);
GRANT SELECT ON customers TO case_app;
GRANT SELECT (id, country, email_verified) ON customers TO PUBLIC;
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users USING (email = CURRENT_USER);
GRANT SELECT ON users TO PUBLIC;
CREATE TABLE people (id bigint PRIMARY KEY, email_encrypted text, birth_date_encrypted bytea);
GRANT SELECT ON people TO PUBLIC;
-- nobody can enter
CREATE SCHEMA hidden;
CREATE TABLE hidden.people (id bigint PRIMARY KEY, email text);
GRANT SELECT ON hidden.people TO PUBLIC;
CREATE VIEW own_profile AS SELECT email FROM users WHERE email = CURRENT_USER;
GRANT SELECT ON own_profile TO PUBLIC;
