-- Keys of requests and their answers, of the transaction's tenant. The columns' defaults say the rest.

-- No row: the key is there. Who else holds it in an open transaction is waited for, by the unique index.
-- name: claim
INSERT INTO pgcharter.idempotency_keys (operation, key, fingerprint) VALUES (%s, %s, %s)
ON CONFLICT (tenant, operation, key) DO NOTHING
RETURNING expires_at

-- name: found
SELECT fingerprint, answer::text, expires_at <= pg_catalog.now(), transaction_id = pg_catalog.pg_current_xact_id_if_assigned(), created_at
  FROM pgcharter.idempotency_keys
 WHERE tenant = COALESCE(pg_catalog.current_setting('pgcharter.tenant', true), '') AND operation = %s AND key = %s

-- No row: somebody else was quicker.
-- name: again
UPDATE pgcharter.idempotency_keys
   SET fingerprint = %s, transaction_id = DEFAULT, created_at = DEFAULT, expires_at = DEFAULT, answer_limit = DEFAULT, answer = NULL
 WHERE tenant = COALESCE(pg_catalog.current_setting('pgcharter.tenant', true), '') AND operation = %s AND key = %s
   AND expires_at <= pg_catalog.now()
RETURNING expires_at

-- name: answer
UPDATE pgcharter.idempotency_keys SET answer = (%(answer)s::text)::json
 WHERE tenant = COALESCE(pg_catalog.current_setting('pgcharter.tenant', true), '') AND operation = %(operation)s AND key = %(key)s
   AND transaction_id = pg_catalog.pg_current_xact_id_if_assigned() AND pg_catalog.octet_length(%(answer)s::text) <= answer_limit
RETURNING true

-- name: limit
SELECT answer_limit FROM pgcharter.idempotency_keys
 WHERE tenant = COALESCE(pg_catalog.current_setting('pgcharter.tenant', true), '') AND operation = %s AND key = %s
   AND transaction_id = pg_catalog.pg_current_xact_id_if_assigned()

-- Rows that somebody is about to take over are passed over.
-- name: purge
DELETE FROM pgcharter.idempotency_keys
 WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM pgcharter.idempotency_keys WHERE expires_at <= pg_catalog.now() ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED))
RETURNING true
