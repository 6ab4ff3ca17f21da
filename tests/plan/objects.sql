-- Objects of every kind that is no relation, with names and fields that need care. Run as a superuser; roles keeper, "Le 'Sser" and
-- "größte" exist. What stands after a line `-- raw` is given to both databases as it is; the rest is written from the catalog.
create schema app;
create schema "Grüße (""1""" authorization keeper;
comment on schema "Grüße (""1""" is E'it''s a \\ path';
create schema a23456789012345678901234567890123456789012345678901234567890bcd;
grant usage on schema app to keeper with grant option;
set role keeper;
grant usage on schema app to "Le 'Sser";
reset role;
revoke create on schema "Grüße (""1""" from keeper;

-- types
create type app.empty_enum as enum ();
create type app."Mood (x, y)" as enum ('it''s', E'back\\slash', 'größer', '');
comment on type app."Mood (x, y)" is 'odd';
grant usage on type app."Mood (x, y)" to "größte" with grant option;
revoke usage on type app."Mood (x, y)" from public, keeper;
create type app.nothing as ();
create type "Grüße (""1"""."Ort" as ("Straße ""1""" character varying(80), "end" app."Mood (x, y)"[], country text collate "C", at timestamptz(3));
comment on type "Grüße (""1"""."Ort" is 'where';
comment on column "Grüße (""1"""."Ort"."end" is 'the last';
alter type "Grüße (""1"""."Ort" owner to keeper;
create function app.is_fine(app."Mood (x, y)") returns boolean language sql immutable as 'select true';
create domain app.fine as app."Mood (x, y)" default 'größer'::app."Mood (x, y)" constraint "Is ""Fine""" check (app.is_fine(value));
comment on constraint "Is ""Fine""" on domain app.fine is 'look it up';
set search_path = app, pg_catalog;
create domain app.lazy as "Mood (x, y)" default 'größer'::"Mood (x, y)";
reset search_path;
create domain app.many as text[] constraint never null check (cardinality(value) > 0);
create domain app.needed as app.many not null;
create domain app.late as character varying(5) collate "C" default 'x' constraint short check (value <> 'y');
alter domain app.late add constraint later check (value <> 'z') not valid;
revoke all on domain app.late from public;
alter domain app.late owner to keeper;
create collation app.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create collation app.ruled (provider = icu, locale = 'und', rules = '&V << w <<< W'); -- since 16
create collation app.builtin (provider = builtin, locale = 'C.UTF-8'); -- since 17
create collation app.two (provider = libc, lc_collate = 'C', lc_ctype = 'POSIX');
comment on collation app.two is 'two';
create function app.away(a text, b text) returns double precision language sql immutable strict as 'select 1.0';
create type app."Words" as range (subtype = text, collation = "C", subtype_opclass = text_pattern_ops, subtype_diff = app.away,
  multirange_type_name = "Grüße (""1"""."Many Words");
create type app.dates as range (subtype = timestamp with time zone);
create type app.shell;
comment on type app.dates is 'from, to';

-- routines
create function app."Odd (name"("a b" integer, inout c app."Mood (x, y)" default 'größer', out d "Grüße (""1"""."Ort"[],
    variadic rest text[] default '{}'::text[])
  language plpgsql stable leakproof parallel restricted cost 7.5 security definer
  set search_path = app, "Grüße (""1""", pg_temp set "my.Setting" = 'a''b' as $f$ begin raise notice '$$ % \', c; end $f$;
comment on function app."Odd (name"(integer, app."Mood (x, y)", text[]) is 'odd';
revoke execute on function app."Odd (name"(integer, app."Mood (x, y)", text[]) from public;
grant execute on function app."Odd (name"(integer, app."Mood (x, y)", text[]) to "größte";
create function app.atomic(x integer) returns setof integer language sql rows 5 begin atomic select x union all select x + 1; end;
create function app.of_any(a anyelement, b anyarray default '{}'::integer[]) returns anyelement language sql as 'select a';
alter function app.of_any owner to keeper;
create procedure app.clean(out removed bigint, keep interval default '30 days') language plpgsql as $$ begin removed := 0; commit; end $$;
comment on procedure app.clean(interval) is 'removes';
grant execute on procedure app.clean(interval) to keeper with grant option;
create function app.numbered() returns bigint language internal window immutable strict as 'window_row_number';
create function app.add(a bigint, b integer) returns bigint language sql immutable strict parallel safe as 'select a + b';
create function app.minus(a bigint, b integer) returns bigint language sql immutable strict parallel safe as 'select a - b';
create function app.done(a bigint, b integer) returns bigint language sql as 'select a';
create aggregate app."Sum Of"("The Value" integer) (sfunc = app.add, stype = bigint, sspace = 64, finalfunc = app.done, finalfunc_extra,
  finalfunc_modify = shareable, combinefunc = int8pl, initcond = '0', msfunc = app.add, minvfunc = app.minus, mstype = bigint,
  msspace = 32, mfinalfunc = app.done, mfinalfunc_extra, mfinalfunc_modify = read_write, minitcond = '0', parallel = restricted);
comment on aggregate app."Sum Of"(integer) is 'a sum';
revoke execute on function app."Sum Of"(integer) from public;
create aggregate app.hits(*) (sfunc = int8inc, stype = bigint, initcond = '0');
revoke execute on function app.hits() from public;
grant execute on function app.hits() to keeper;
comment on aggregate app.hits(*) is 'all';
alter aggregate app.hits(*) owner to keeper;
create aggregate app.largest(integer) (sfunc = int4larger, stype = integer, sortop = >);
create aggregate app.middle(double precision order by double precision)
  (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_cont_float8_final);
comment on aggregate app.middle(double precision order by double precision) is 'half';
alter aggregate app.middle(double precision order by double precision) owner to keeper;
create aggregate app.place(variadic "any" order by variadic "any") (sfunc = ordered_set_transition_multi, stype = internal,
  finalfunc = rank_final, finalfunc_extra, hypothetical);

-- operators and what uses them
create function app.same(integer, integer) returns boolean language sql immutable strict as 'select $1 = $2';
create function app.other(integer, integer) returns boolean language sql immutable strict as 'select $1 <> $2';
create function app.compare(integer, integer) returns integer language sql immutable strict as 'select btint4cmp($1, $2)';
create operator app.=== (leftarg = integer, rightarg = integer, function = app.same, commutator = operator(app.===),
  negator = operator(app.<=|>), restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator app.<=|> (leftarg = integer, rightarg = integer, function = app.other, negator = operator(app.===), restrict = neqsel);
create operator "Grüße (""1""".## (rightarg = app."Mood (x, y)", function = app.is_fine);
comment on operator "Grüße (""1""".## (none, app."Mood (x, y)") is 'prefix';
alter operator app.=== (integer, integer) owner to keeper;
create operator family app."My Family" using btree;
alter operator family app."My Family" using btree add
  operator 1 pg_catalog.< (integer, bigint), function 1 (integer, bigint) btint48cmp(integer, bigint);
comment on operator family app."My Family" using btree is 'mine';
create operator class app."My Class" for type integer using btree family app."My Family" as
  operator 1 <, operator 2 <=, operator 3 app.===, operator 4 >=, operator 5 >, function 1 app.compare(integer, integer),
  function 2 (integer, integer) btint4sortsupport(internal);
comment on operator class app."My Class" using btree is 'class';
alter operator class app."My Class" using btree owner to keeper;
create operator class app.default_one default for type app."Mood (x, y)" using hash as operator 1 = (anyenum, anyenum), function 1 (app."Mood (x, y)", app."Mood (x, y)") hashenum(anyenum);
create operator class app.distances for type point using gist as
  operator 11 |>> (point, point), operator 15 <-> (point, point) for order by pg_catalog.float_ops,
  function 1 gist_point_consistent(internal, point, smallint, oid, internal), function 2 gist_box_union(internal, internal),
  function 3 gist_point_compress(internal), function 5 gist_box_penalty(internal, internal, internal),
  function 6 gist_box_picksplit(internal, internal), function 7 gist_box_same(box, box, internal), function 8 gist_point_distance(internal,
  point, smallint, oid, internal), storage box;
create function app.to_mood(integer) returns app."Mood (x, y)" language sql immutable as $$ select 'größer'::app."Mood (x, y)" $$;
create cast (integer as app."Mood (x, y)") with function app.to_mood(integer) as assignment;
comment on cast (integer as app."Mood (x, y)") is 'cast';
create cast (app."Words" as app.dates) with inout as implicit;
create cast (integer as date) without function;

-- text search, conversions, languages
create text search dictionary app."Dict" (template = pg_catalog.synonym, synonyms = 'synonym_sample', casesensitive = 'true');
comment on text search dictionary app."Dict" is 'dict';
create text search dictionary app.plain (template = pg_catalog.simple);
alter text search dictionary app.plain owner to keeper;
create text search configuration app."Search" (parser = pg_catalog.default);
alter text search configuration app."Search" add mapping for asciiword, word with app."Dict", app.plain, pg_catalog.english_stem;
alter text search configuration app."Search" add mapping for email with app.plain;
comment on text search configuration app."Search" is 'conf';
create text search parser app.parse (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype,
  headline = prsd_headline);
comment on text search parser app.parse is 'parse';
create text search template app.templ (init = dsimple_init, lexize = dsimple_lexize);
comment on text search template app.templ is 'templ';
create default conversion app."Conv" for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
comment on conversion app."Conv" is 'conv';
alter conversion app."Conv" owner to keeper;
create trusted language "PL x" handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator;
comment on language "PL x" is 'another';
grant usage on language "PL x" to keeper with grant option;
revoke usage on language "PL x" from public;
create function app.from_int(internal) returns internal language internal immutable as 'int4recv';
create transform for integer language "PL x" (from sql with function prsd_lextype(internal));
comment on transform for integer language "PL x" is 'transform';
create access method "Heap 2" type table handler heap_tableam_handler;
comment on access method "Heap 2" is 'heap';

-- foreign
create function app.valid(text[], oid) returns void language plpgsql as 'begin end';
create foreign data wrapper "Wrap" validator app.valid options (debug 'tr''ue', "Other" 'x=y');
comment on foreign data wrapper "Wrap" is 'wrap';
grant usage on foreign data wrapper "Wrap" to keeper with grant option;
create server "Far ""away""" type 'ty''pe' version '2' foreign data wrapper "Wrap" options (host 'a=b', "Port" '1');
comment on server "Far ""away""" is 'far';
grant usage on foreign server "Far ""away""" to "größte";
alter server "Far ""away""" owner to keeper;

-- raw
create table app.things (id integer primary key, "Na me" text, flag boolean not null, kind app."Mood (x, y)");
create table app.part (a integer, b integer) partition by range (a);
create table app.part_1 partition of app.part for values from (0) to (10);
create table app.base (id integer);
create table app.child (x integer) inherits (app.base);
-- written
create statistics app."St at" (ndistinct, mcv) on "Na me", flag, (lower("Na me")) from app.things;
comment on statistics app."St at" is 'stat';
alter statistics app."St at" set statistics 77;
alter statistics app."St at" owner to keeper;
create statistics app.single on (id % 10) from app.things;
create publication "Pub all" for all tables with (publish = 'insert');
create publication nothing with (publish = '');
create publication "Pub" for table app.things (id, "Na me", flag) where (flag), only app.base with (publish_via_partition_root = true);
comment on publication "Pub" is 'pub';
alter publication "Pub" owner to keeper;
create publication generated for table app.base with (publish_generated_columns = stored); -- since 18
create publication whole for table app.part, tables in schema app, "Grüße (""1""";
create function app.watch() returns event_trigger language plpgsql as $$ begin end $$;
create event trigger "Watch" on ddl_command_end when tag in ('CREATE TABLE', 'DROP TABLE') execute function app.watch();
comment on event trigger "Watch" is 'watch';
alter event trigger "Watch" enable always;
create event trigger off on sql_drop execute function app.watch();
alter event trigger off disable;
create extension citext schema app;
create extension hstore;
comment on extension hstore is null;
alter default privileges in schema "Grüße (""1""" grant select, insert on tables to keeper with grant option;
alter default privileges revoke execute on functions from public;
alter default privileges in schema app grant execute on functions to "größte";
alter default privileges grant usage on types to keeper;
alter default privileges revoke usage on types from public;
alter default privileges grant usage on schemas to "Le 'Sser" with grant option;
alter default privileges for role keeper revoke execute on functions from public;
alter default privileges for role keeper grant usage on schemas to "größte";
alter default privileges for role keeper in schema "Grüße (""1""" grant usage on types to "Le 'Sser";
alter default privileges for role keeper grant select on large objects to "größte" with grant option; -- since 18
alter default privileges for role "größte" revoke all on sequences from "größte";
