-- Types of every kind and what goes with them: operators, casts, aggregates, operator classes, collations, text search.
CREATE SCHEMA kinds;
CREATE COLLATION kinds.by_bytes FROM "C";
CREATE COLLATION kinds.portable (provider = libc, locale = 'POSIX');

CREATE TYPE kinds.mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE kinds.mood ADD VALUE 'elated' AFTER 'happy';
ALTER TYPE kinds.mood ADD VALUE 'furious' BEFORE 'sad';
ALTER TYPE kinds.mood RENAME VALUE 'ok' TO 'content';

CREATE TYPE kinds.complex AS (re double precision, im double precision);
CREATE TYPE kinds.span AS RANGE (subtype = time, multirange_type_name = kinds.spans);
CREATE TYPE kinds.pair AS (first kinds.complex, second kinds.complex, moods kinds.mood[]);
CREATE DOMAIN kinds.line AS text COLLATE kinds.portable CHECK (VALUE !~ '\n');
CREATE DOMAIN kinds.email AS kinds.line CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN kinds.open_hours AS kinds.spans CHECK (NOT isempty(VALUE));
CREATE DOMAIN kinds.share AS numeric(6, 5) DEFAULT 0 CHECK (VALUE BETWEEN 0 AND 1);

CREATE FUNCTION kinds.add(kinds.complex, kinds.complex) RETURNS kinds.complex LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ROW(($1).re + ($2).re, ($1).im + ($2).im)::kinds.complex;
CREATE FUNCTION kinds.magnitude(kinds.complex) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN sqrt(($1).re * ($1).re + ($1).im * ($1).im);
CREATE FUNCTION kinds.less(kinds.complex, kinds.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN kinds.magnitude($1) < kinds.magnitude($2);
CREATE FUNCTION kinds.less_or_equal(kinds.complex, kinds.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN kinds.magnitude($1) <= kinds.magnitude($2);
CREATE FUNCTION kinds.equal(kinds.complex, kinds.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN kinds.magnitude($1) = kinds.magnitude($2);
CREATE FUNCTION kinds.greater_or_equal(kinds.complex, kinds.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN kinds.magnitude($1) >= kinds.magnitude($2);
CREATE FUNCTION kinds.greater(kinds.complex, kinds.complex) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN kinds.magnitude($1) > kinds.magnitude($2);
CREATE FUNCTION kinds.compare(kinds.complex, kinds.complex) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN kinds.magnitude($1) < kinds.magnitude($2) THEN -1 WHEN kinds.magnitude($1) > kinds.magnitude($2) THEN 1 ELSE 0 END;

CREATE OPERATOR kinds.+ (LEFTARG = kinds.complex, RIGHTARG = kinds.complex, FUNCTION = kinds.add, COMMUTATOR = OPERATOR(kinds.+));
CREATE OPERATOR kinds.|<| (LEFTARG = kinds.complex, RIGHTARG = kinds.complex, FUNCTION = kinds.less, COMMUTATOR = OPERATOR(kinds.|>|));
CREATE OPERATOR kinds.|<=| (LEFTARG = kinds.complex, RIGHTARG = kinds.complex, FUNCTION = kinds.less_or_equal);
CREATE OPERATOR kinds.|=| (LEFTARG = kinds.complex, RIGHTARG = kinds.complex, FUNCTION = kinds.equal, COMMUTATOR = OPERATOR(kinds.|=|));
CREATE OPERATOR kinds.|>=| (LEFTARG = kinds.complex, RIGHTARG = kinds.complex, FUNCTION = kinds.greater_or_equal);
CREATE OPERATOR kinds.|>| (LEFTARG = kinds.complex, RIGHTARG = kinds.complex, FUNCTION = kinds.greater, COMMUTATOR = OPERATOR(kinds.|<|));
CREATE OPERATOR CLASS kinds.by_magnitude FOR TYPE kinds.complex USING btree AS
    OPERATOR 1 kinds.|<|, OPERATOR 2 kinds.|<=|, OPERATOR 3 kinds.|=|, OPERATOR 4 kinds.|>=|, OPERATOR 5 kinds.|>|,
    FUNCTION 1 kinds.compare(kinds.complex, kinds.complex);
CREATE AGGREGATE kinds.total(kinds.complex) (SFUNC = kinds.add, STYPE = kinds.complex, INITCOND = '(0,0)', PARALLEL = SAFE, COMBINEFUNC = kinds.add);

CREATE FUNCTION kinds.to_complex(double precision) RETURNS kinds.complex LANGUAGE sql IMMUTABLE STRICT RETURN ROW($1, 0)::kinds.complex;
CREATE CAST (double precision AS kinds.complex) WITH FUNCTION kinds.to_complex(double precision) AS ASSIGNMENT;
CREATE CAST (text AS kinds.mood) WITH INOUT;

CREATE TABLE kinds.signals (
    signal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value kinds.complex NOT NULL,
    history kinds.complex[] NOT NULL DEFAULT '{}',
    both_ends kinds.pair,
    mood kinds.mood NOT NULL DEFAULT 'content',
    other_moods kinds.mood[] NOT NULL DEFAULT '{}',
    flags bit varying(16) NOT NULL DEFAULT B'0',
    mask bit(8) NOT NULL DEFAULT B'00000000',
    source inet,
    hardware macaddr8,
    shape polygon,
    lengths interval[] NOT NULL DEFAULT '{}',
    checksum bytea CHECK (octet_length(checksum) = 32),
    note xml
);
CREATE INDEX ON kinds.signals (value kinds.by_magnitude);
CREATE INDEX ON kinds.signals USING gin (other_moods);
CREATE INDEX ON kinds.signals USING gist (shape);
CREATE INDEX ON kinds.signals USING gist (source inet_ops);

CREATE TABLE kinds.shops (
    shop_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE kinds.by_bytes NOT NULL,
    contact kinds.email NOT NULL CHECK (contact = lower(contact)) UNIQUE,
    hours kinds.open_hours,
    discount kinds.share NOT NULL,
    closed_on datemultirange NOT NULL DEFAULT '{}',
    price_band numrange CHECK (lower(price_band) >= 0)
);
CREATE INDEX ON kinds.shops USING gist (closed_on);
CREATE INDEX ON kinds.shops USING gist (hours);
CREATE INDEX ON kinds.shops USING spgist (price_band);

CREATE TEXT SEARCH DICTIONARY kinds.plain (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION kinds.names (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION kinds.names ALTER MAPPING FOR asciiword, word WITH kinds.plain;
CREATE TABLE kinds.pages (
    page_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    body text,
    document tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('kinds.names', title), 'A') || setweight(to_tsvector('kinds.names', coalesce(body, '')), 'B')) STORED
);
CREATE INDEX ON kinds.pages USING gin (document);

-- a table of a type
CREATE TYPE kinds.point_of_interest AS (poi_id bigint, name text, rating smallint);
CREATE TABLE kinds.pois OF kinds.point_of_interest (PRIMARY KEY (poi_id), name WITH OPTIONS NOT NULL, rating WITH OPTIONS CHECK (rating BETWEEN 1 AND 5));
