CREATE ROLE case_app;
CREATE TABLE orders (id bigint PRIMARY KEY);
GRANT SELECT, INSERT ON orders TO case_app WITH GRANT OPTION;
CREATE FUNCTION total(a bigint, b text) RETURNS bigint LANGUAGE sql AS $$ SELECT 1::bigint $$;
GRANT EXECUTE ON FUNCTION total(bigint, text) TO case_app WITH GRANT OPTION;
