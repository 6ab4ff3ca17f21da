CREATE FUNCTION pgcharter.pgcrypto_decrypt(stored bytea, bound_to text) RETURNS text
 LANGUAGE plpgsql STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $pgcrypto$
DECLARE
  id text;
  key text;
  plain bytea;
BEGIN
  IF stored IS NULL THEN
    RETURN NULL;
  ELSIF substr(stored, 1, 4) <> '\xfe706702' OR octet_length(stored) < 12 THEN
    RAISE EXCEPTION 'the value was not encrypted by pgcharter.pgcrypto_encrypt' USING ERRCODE = 'data_corrupted';
  END IF;
  id := encode(substr(stored, 5, 8), 'hex');
  key := (SELECT split_part(k, ':', 2) FROM unnest(string_to_array(pgcharter.pgcrypto_keys('pgcharter.keys'), ' ')) k WHERE k ^@ (id || ':'));
  IF key IS NULL THEN
    RAISE EXCEPTION 'the value is encrypted with key %, which this transaction was not given', id USING
      ERRCODE = 'object_not_in_prerequisite_state', HINT = 'pgcharter keys list';
  END IF;
  BEGIN
    plain := {crypto}.pgp_sym_decrypt_bytea(substr(stored, 13), key);
  EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'the value of key % is damaged, or that is another key', id USING ERRCODE = 'data_corrupted';
  END;
  IF substr(plain, 1, 32) IS DISTINCT FROM sha256(convert_to(bound_to, 'UTF8')) THEN
    RAISE EXCEPTION 'the value was encrypted for another row or column' USING ERRCODE = 'data_corrupted';
  END IF;
  RETURN convert_from(substr(plain, 33), 'UTF8');
END
$pgcrypto$
