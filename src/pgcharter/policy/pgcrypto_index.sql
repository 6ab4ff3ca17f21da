CREATE FUNCTION pgcharter.pgcrypto_index(value text, column_name text) RETURNS bytea
 LANGUAGE plpgsql STABLE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $pgcrypto$
-- What stands for the value in a blind index of a column: the same for the same value, and told by nobody who lacks the key.
DECLARE
  key text := split_part(split_part(pgcharter.pgcrypto_keys('pgcharter.index_keys'), ' ', 1), ':', 2);
BEGIN
  RETURN substr({crypto}.hmac(convert_to(column_name || chr(31) || value, 'UTF8'), decode(key, 'base64'), 'sha256'), 1, 16);
END
$pgcrypto$
