CREATE TABLE rates (code text PRIMARY KEY, rate numeric NOT NULL);
CREATE FUNCTION day_of(at timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT (at AT TIME ZONE 'UTC')::date /* not now() */ $$;
CREATE FUNCTION label() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'read from rates, now()' $$;
CREATE FUNCTION in_euros(amount numeric, currency text) RETURNS numeric LANGUAGE sql STABLE
    AS $$ SELECT amount * rate FROM rates WHERE code = currency $$;
CREATE FUNCTION search_text(title text, body text) RETURNS tsvector LANGUAGE sql IMMUTABLE
    AS $$ SELECT to_tsvector('english', coalesce(title, '') || ' ' || coalesce(body, '')) $$;
CREATE FUNCTION parts(doc jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT count(*) FROM jsonb_array_elements(doc) rates $$;
CREATE FUNCTION doubled(amounts numeric[]) RETURNS numeric LANGUAGE sql IMMUTABLE
    AS $$ WITH rates (n) AS MATERIALIZED (SELECT unnest(amounts)) SELECT sum(n * 2) FROM rates $$;

-- FROM that names no relation, beside tables of that name
CREATE TABLE part (id bigint PRIMARY KEY);
CREATE FUNCTION without_part(whole text, part text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN whole IS DISTINCT FROM part THEN trim(both ' ' FROM part) ELSE substring(whole FROM 1) END $$;
