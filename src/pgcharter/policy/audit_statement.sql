CREATE FUNCTION pgcharter.audit_statement() RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $audit$
-- First word of what the client sent. current_query() copies the whole text, so of a long one it is kept for the rest of the statement, or many
-- rows would take quadratic time.
DECLARE
  stamp CONSTANT text := extract(epoch FROM statement_timestamp())::text || ' ';
  kept CONSTANT text := current_setting('pgcharter.audit_statement', true);
  first CONSTANT text := '^(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([A-Za-z]+)';
  sent text;
  word text;
BEGIN
  IF kept ^@ stamp THEN
    RETURN substr(kept, length(stamp) + 1);
  END IF;
  sent := current_query();
  word := upper(coalesce(substring(left(sent, 1000) FROM first), substring(sent FROM first), ''));
  IF octet_length(sent) > 10000 THEN
    PERFORM set_config('pgcharter.audit_statement', stamp || word, true);
  END IF;
  RETURN word;
END
$audit$
