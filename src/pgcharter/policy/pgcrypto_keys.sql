CREATE FUNCTION pgcharter.pgcrypto_keys(setting text) RETURNS text
 LANGUAGE plpgsql STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $pgcrypto$
-- The keys that this transaction was given, as "ID:KEY ID:KEY": the first to write with, all to read with.
DECLARE
  keys text := nullif(current_setting(setting, true), '');
BEGIN
  IF keys IS NULL OR keys !~ '^[0-9a-f]{16}:\S+( [0-9a-f]{16}:\S+)*$' THEN
    RAISE EXCEPTION 'this transaction was given no keys in %', setting USING
      ERRCODE = 'object_not_in_prerequisite_state', HINT = 'pgcharter.runtime.pgcrypto: unlock(conn, ring)';
  END IF;
  RETURN keys;
END
$pgcrypto$
