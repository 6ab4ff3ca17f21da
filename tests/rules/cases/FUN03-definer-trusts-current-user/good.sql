CREATE TABLE changes (who text, at timestamptz);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- not current_user
    INSERT INTO public.changes VALUES (session_user, now());
    RETURN new;
END $$;
CREATE FUNCTION note_as_caller() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.changes VALUES (current_user, now());
    RETURN new;
END $$;
CREATE FUNCTION note_both() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO public.changes VALUES (coalesce(current_setting('app.user_id', true), current_user), now());
    RETURN new;
END $$;
