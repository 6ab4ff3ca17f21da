CREATE ROLE case_app;
CREATE SCHEMA app;
CREATE SCHEMA open;
GRANT CREATE ON SCHEMA open TO case_app;
CREATE TABLE app.admins (name text PRIMARY KEY);
CREATE FUNCTION app.last(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = app, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM admins WHERE name = who) $$;
CREATE FUNCTION app.qualified(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = ''
    AS $$ SELECT EXISTS (SELECT FROM app.admins WHERE name = who) $$;
CREATE FUNCTION app.qualified_too(who text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, open AS $$
BEGIN
    -- FROM admins
    RETURN EXISTS (SELECT FROM app.admins a WHERE a.name = who);
END $$;
CREATE FUNCTION app.with_callers_rights(who text) RETURNS boolean LANGUAGE sql SET search_path = app
    AS $$ SELECT EXISTS (SELECT FROM admins WHERE name = who) $$;
