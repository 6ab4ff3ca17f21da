CREATE FUNCTION absolute(integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS 'SELECT abs($1)';
CREATE EXTENSION pg_trgm;
CREATE AGGREGATE joined(text) (sfunc = textcat, stype = text);
