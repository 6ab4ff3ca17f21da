CREATE SCHEMA app;
CREATE TABLE app.admins (name text PRIMARY KEY);
CREATE TABLE public.sessions (name text PRIMARY KEY);
CREATE FUNCTION app."isAdmin"(who text) RETURNS boolean LANGUAGE sql SECURITY DEFINER STABLE
    AS $$ SELECT EXISTS (SELECT FROM app.admins JOIN sessions USING (name) WHERE name = who) $$;
CREATE PROCEDURE app.forget() LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM app.admins; END $$;
