CREATE FUNCTION absolute(integer) RETURNS integer LANGUAGE internal IMMUTABLE STRICT AS 'int4abs';
