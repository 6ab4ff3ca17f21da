-- Names with dots, quotes, percent signs and umlauts; tables of one name in several schemas; code that speaks of other code.
CREATE SCHEMA "Übersicht";
CREATE SCHEMA shop;
CREATE SCHEMA archive;

CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "order.total" numeric(10, 2) NOT NULL,
    "100%" numeric(5, 2) NOT NULL DEFAULT 0,
    "say ""hi""" text,
    placed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE archive.orders (
    id bigint PRIMARY KEY,
    "order.total" numeric(10, 2) NOT NULL,
    placed_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE "Übersicht"."Aufträge je Tag" (
    "Tag" date PRIMARY KEY,
    "Anzahl" integer NOT NULL DEFAULT 0 CHECK ("Anzahl" >= 0),
    "Größe" text CHECK ("Größe" IN ('klein', 'mittel', 'now()', 'CURRENT_DATE', 'NULL'))
);
CREATE TABLE shop."Order%Items" (
    order_id bigint NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    line smallint NOT NULL,
    "e-mail template" text UNIQUE,
    email_template text UNIQUE,
    normalized_email text UNIQUE,
    "desc." text NOT NULL DEFAULT 'insert into users values (''x''); -- delete from orders where true;',
    PRIMARY KEY (order_id, line)
);
CREATE TABLE shop.name (value text PRIMARY KEY);
CREATE TABLE shop.words (body text PRIMARY KEY);

-- IMMUTABLE, whatever its comments and strings say; FROM stands in functions of the standard, beside names that are tables too.
CREATE FUNCTION shop.initials(name text, words text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    -- not now(): random() would be another function; select * from orders
    SELECT trim(both ' ' FROM name) || substring(words FROM 1 FOR 1) || ' random() from shop.orders '
    WHERE name IS DISTINCT FROM words /* delete from shop.orders; */
$$;
CREATE FUNCTION shop.year_of(orders date) RETURNS integer LANGUAGE sql IMMUTABLE RETURN extract(year FROM orders)::integer;
CREATE FUNCTION shop.year_of(orders timestamptz, zone text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE
    note constant text := $note$ BEGIN; EXECUTE 'x' || zone; EXCEPTION WHEN OTHERS THEN NULL; END $note$;
BEGIN
    RETURN extract(year FROM (orders AT TIME ZONE zone));
END $f$;
ALTER TABLE archive.orders ADD CONSTRAINT orders_year CHECK (shop.year_of(placed_at, 'UTC') >= 2000);

-- A cast that gives NULL instead of an error answers every failure.
CREATE FUNCTION shop.to_number_or_null(value text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN value::numeric;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- Dynamic SQL with names that were looked up, quoted or listed.
CREATE FUNCTION shop.count_rows(relation regclass, column_name text, direction text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    total bigint;
BEGIN
    IF direction NOT IN ('asc', 'desc') THEN
        RAISE EXCEPTION 'no such direction: %', direction;
    END IF;
    EXECUTE 'SELECT count(' || quote_ident(column_name) || ') FROM ' || relation || ' GROUP BY 1 ORDER BY 1 ' || direction || ' LIMIT 1'
        INTO total;
    RETURN total;
END $$;

-- Rows move in one statement; staging beside it is emptied by another condition.
CREATE PROCEDURE shop.archive(before timestamptz) LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM shop.orders WHERE placed_at < before RETURNING id, "order.total", placed_at)
    INSERT INTO archive.orders (id, "order.total", placed_at) SELECT * FROM gone
$$;

CREATE VIEW shop.totals AS SELECT id, "order.total" AS total, "100%" FROM shop.orders;
CREATE VIEW shop.large AS SELECT * FROM shop.totals WHERE total > 1000;
CREATE FUNCTION shop.largest() RETURNS SETOF shop.large LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM shop.large ORDER BY total DESC; END;
