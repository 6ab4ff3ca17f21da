CREATE FUNCTION pgcharter.pgcrypto_encrypt(value text, bound_to text) RETURNS bytea
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $pgcrypto$
-- Four bytes that tell the format, eight of the key's id, and an OpenPGP message of the digest of what it is bound to and the value.
DECLARE
  id text;
  key text;
BEGIN
  IF value IS NULL THEN
    RETURN NULL;
  ELSIF bound_to IS NULL THEN
    RAISE EXCEPTION 'a value must be bound to its row' USING
      ERRCODE = 'null_value_not_allowed', HINT = 'name column and key: ''app.users.phone '' || id';
  END IF;
  id := split_part(split_part(pgcharter.pgcrypto_keys('pgcharter.keys'), ' ', 1), ':', 1);
  key := split_part(split_part(pgcharter.pgcrypto_keys('pgcharter.keys'), ' ', 1), ':', 2);
  RETURN '\xfe706702'::bytea || decode(id, 'hex') || {crypto}.pgp_sym_encrypt_bytea(
    sha256(convert_to(bound_to, 'UTF8')) || convert_to(value, 'UTF8'), key,
    'cipher-algo=aes256, compress-algo=0, s2k-mode=1');
END
$pgcrypto$
