CREATE TABLE rates (code text PRIMARY KEY, rate numeric NOT NULL);
CREATE FUNCTION age_in_days(at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT extract(day FROM now() - at)::integer $$;
CREATE FUNCTION in_euros(amount numeric, currency text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN amount * (SELECT rate FROM rates WHERE code = currency);
END $$;
CREATE FUNCTION short_id() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT left(md5(random()::text), 8) $$;
