CREATE FUNCTION pgcharter.audit_part(image jsonb, columns text[]) RETURNS jsonb
 LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $audit$SELECT pg_catalog.jsonb_object_agg(c, image OPERATOR(pg_catalog.->) c) FROM pg_catalog.unnest(columns) c$audit$
