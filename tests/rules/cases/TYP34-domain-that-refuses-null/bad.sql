CREATE DOMAIN email AS text NOT NULL CHECK (VALUE LIKE '%@%');
CREATE DOMAIN phone AS text CONSTRAINT phone_there CHECK (VALUE IS NOT NULL);
CREATE TABLE users (id bigint PRIMARY KEY, email email, phone phone NOT NULL);
