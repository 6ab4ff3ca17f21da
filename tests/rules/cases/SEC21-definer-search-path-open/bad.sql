CREATE ROLE case_app;
CREATE SCHEMA app;
CREATE SCHEMA open;
GRANT CREATE ON SCHEMA open TO case_app;
CREATE TABLE app.admins (name text PRIMARY KEY);
CREATE TABLE open.guests (name text PRIMARY KEY);
CREATE FUNCTION app.unnamed(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = app
    AS $$ SELECT EXISTS (SELECT FROM admins WHERE name = who) $$;
CREATE FUNCTION app.not_last(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_temp, app
    AS $$ SELECT EXISTS (SELECT FROM app.admins WHERE name = who) $$;
CREATE FUNCTION app.writable(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = app, open, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM admins JOIN guests USING (name) WHERE name = who) $$;
