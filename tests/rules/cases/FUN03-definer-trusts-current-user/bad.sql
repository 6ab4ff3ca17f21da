CREATE TABLE changes (who text, at timestamptz);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO public.changes VALUES (current_user, now());
    RETURN new;
END $$;
