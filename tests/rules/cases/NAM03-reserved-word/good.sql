CREATE TABLE users (id bigint PRIMARY KEY, name text, value text, "position" integer, type text, "time" timestamptz, role text, language text);
CREATE FUNCTION "left"(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
