CREATE SCHEMA app;
CREATE TABLE app.admins (name text PRIMARY KEY);
CREATE FUNCTION app.is_admin(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER STABLE SET search_path = app, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM admins WHERE name = who) $$;
CREATE FUNCTION app.bound(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER STABLE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM app.admins WHERE name = who);
END;
CREATE FUNCTION app.with_callers_rights(who text) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT EXISTS (SELECT FROM app.admins WHERE name = who) $$;
