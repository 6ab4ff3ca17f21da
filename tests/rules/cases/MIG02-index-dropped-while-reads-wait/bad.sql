DROP INDEX app.orders_status_idx;
DROP INDEX IF EXISTS "Alt", other_idx;
DROP INDEX orders_code_key CASCADE;
