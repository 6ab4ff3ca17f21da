CREATE ROLE case_app;
CREATE FUNCTION close_month(month date) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$ SELECT $$;
REVOKE EXECUTE ON FUNCTION close_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION close_month(date) TO case_app;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$ BEGIN RETURN new; END $$;
CREATE SCHEMA private;
CREATE FUNCTION private.inner_part() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = private, pg_temp AS $$ SELECT $$;
