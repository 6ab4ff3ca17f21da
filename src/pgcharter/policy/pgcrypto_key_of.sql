CREATE FUNCTION pgcharter.pgcrypto_key_of(stored bytea) RETURNS text
 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $pgcrypto$
  SELECT CASE WHEN pg_catalog.substr(stored, 1, 4) = '\xfe706702' THEN pg_catalog.encode(pg_catalog.substr(stored, 5, 8), 'hex') END
$pgcrypto$
