-- Every attribute of every kind of object changes somewhere (attributes.txt says where).
-- pair: owners of everything (superuser)
create schema s;
create schema one;
create table t (a serial primary key, b text);
create table u (a integer generated always as identity);
create view v as select a from t;
create materialized view m as select a from t;
create function f() returns trigger language plpgsql as 'begin return new; end';
create procedure p() language sql as 'select 1';
create aggregate agg(integer) (sfunc = int4pl, stype = integer);
create type e as enum ('a');
create domain d as text;
create type c as (a integer);
create type r as range (subtype = integer);
create sequence q;
create collation co from "C";
create statistics st on a, b from t;
create operator === (leftarg = integer, rightarg = integer, function = int4eq);
create operator family fam using btree;
create conversion con for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create text search dictionary dict (template = simple);
create text search configuration conf (copy = simple);
create foreign data wrapper w;
create server srv foreign data wrapper w;
create foreign table ft (a integer) server srv;
create publication pub for table t;
create function ef() returns event_trigger language plpgsql as 'begin end';
create event trigger et on sql_drop execute function ef();
create language lang handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator;
-- old
-- new
alter role law_owner superuser;
alter table t owner to law_owner; alter table u owner to law_owner; alter view v owner to law_owner; alter materialized view m owner to law_owner;
alter function f() owner to law_owner; alter procedure p() owner to law_owner; alter aggregate agg(integer) owner to law_owner;
alter type e owner to law_owner; alter domain d owner to law_owner; alter type c owner to law_owner; alter type r owner to law_owner;
alter sequence q owner to law_owner; alter collation co owner to law_owner; alter statistics st owner to law_owner;
alter operator === (integer, integer) owner to law_owner; alter operator family fam using btree owner to law_owner;
alter conversion con owner to law_owner; alter text search dictionary dict owner to law_owner; alter text search configuration conf owner to law_owner;
alter server srv owner to law_owner; alter foreign table ft owner to law_owner;
alter publication pub owner to law_owner; alter language lang owner to law_owner;
alter function ef() owner to law_owner; alter schema one owner to law_owner;
alter role law_owner nosuperuser;
-- pair: comments on everything (superuser)
create table t (a integer primary key, b text, constraint k check (a > 0), constraint x exclude (b with =));
create index i on t (b);
create view v as select a from t;
create materialized view m as select a from t;
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger tr before insert on t for each row execute function f();
create rule ru as on delete to t do instead nothing;
create policy po on t using (true);
create procedure p() language sql as 'select 1';
create aggregate agg(integer) (sfunc = int4pl, stype = integer);
create type e as enum ('a');
create domain d as text constraint dk check (value > 'a');
create type c as (a integer);
create sequence q;
create schema s;
create extension pg_trgm;
create collation co from "C";
create statistics st on a, b from t;
create operator === (leftarg = integer, rightarg = integer, function = int4eq);
create operator family fam using btree;
create operator class cl for type integer using btree family fam as operator 3 =, function 1 btint4cmp(integer, integer);
create conversion con for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create text search dictionary dict (template = simple);
create text search configuration conf (copy = simple);
create text search parser tsp (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
create text search template tst (lexize = dsimple_lexize, init = dsimple_init);
create foreign data wrapper w;
create server srv foreign data wrapper w;
create foreign table ft (a integer) server srv;
create publication pub for table t;
create function ef() returns event_trigger language plpgsql as 'begin end';
create event trigger et on sql_drop execute function ef();
create language lang handler plpgsql_call_handler;
create transform for integer language lang (from sql with function generate_series_int4_support(internal));
create access method am type table handler heap_tableam_handler;
-- old
create function cf(e) returns integer language sql immutable as 'select 1';
create cast (e as integer) with function cf(e);
comment on table t is 'a''b';
-- new
create function cf(e) returns integer language sql immutable as 'select 1';
create cast (e as integer) with function cf(e);
comment on table t is E'it\\''s \\\\ \n "quoted"'; comment on column t.a is '$$'; comment on constraint k on t is 'x'; comment on constraint x on t is 'x'; comment on index i is 'x'; comment on index t_pkey is 'x'; comment on constraint t_pkey on t is 'x';
comment on view v is 'x'; comment on column v.a is 'x'; comment on materialized view m is 'x'; comment on column m.a is 'x'; comment on function f() is 'x'; comment on trigger tr on t is 'x'; comment on rule ru on t is 'x'; comment on policy po on t is 'x';
comment on procedure p() is 'x'; comment on aggregate agg(integer) is 'x'; comment on type e is 'x'; comment on domain d is 'x'; comment on constraint dk on domain d is 'x'; comment on type c is 'x'; comment on column c.a is 'x'; comment on sequence q is 'x'; comment on schema s is 'x';
comment on extension pg_trgm is 'x'; comment on collation co is 'x'; comment on statistics st is 'x'; comment on operator === (integer, integer) is 'x'; comment on operator family fam using btree is 'x'; comment on operator class cl using btree is 'x';
comment on conversion con is 'x'; comment on text search dictionary dict is 'x'; comment on text search configuration conf is 'x'; comment on text search parser tsp is 'x'; comment on text search template tst is 'x'; comment on foreign data wrapper w is 'x'; comment on server srv is 'x'; comment on foreign table ft is 'x'; comment on column ft.a is 'x';
comment on publication pub is 'x'; comment on event trigger et is 'x'; comment on language lang is 'x'; comment on transform for integer language lang is 'x'; comment on access method am is 'x'; comment on cast (e as integer) is 'x';
do $$ begin execute format('comment on database %I is %L', current_database(), 'x'); end $$;
-- pair: privileges on everything, with grant option and from several grantors (superuser)
create schema s;
create table t (a integer generated always as identity, b text);
create sequence q;
create view v as select a, b from t;
create materialized view m as select a from t;
create function f() returns integer language sql as 'select 1';
create procedure p() language sql as 'select 1';
create aggregate agg(integer) (sfunc = int4pl, stype = integer);
create type e as enum ('a');
create domain d as text;
create type c as (a integer);
create foreign data wrapper w;
create server srv foreign data wrapper w;
create foreign table ft (a integer) server srv;
create trusted language lang handler plpgsql_call_handler;
alter table t owner to law_owner; alter function f() owner to law_owner;
-- old
grant select on t to law_reader;
grant select on t to "Law Writer" with grant option;
grant all on t_a_seq to law_reader;
-- new
grant usage, create on schema s to law_reader with grant option;
grant select, update on t to law_reader with grant option;
grant update (b), references (a) on t to "Law Writer" with grant option;
grant insert (b) on t to public;
set role law_reader; grant select, update on t to "Law Writer"; grant select on t to public; reset role;
grant usage on sequence q to law_reader; grant select on sequence t_a_seq to public;
grant select on v to law_reader; grant select (b) on v to public; grant select (a) on m to public;
revoke execute on function f() from public; grant execute on function f() to law_reader with grant option;
set role law_reader; grant execute on function f() to "Law Writer"; reset role;
revoke execute on procedure p() from public; grant execute on function agg(integer) to law_reader;
revoke usage on type e from public; grant usage on domain d to law_reader; grant usage on type c to law_reader with grant option;
grant usage on foreign data wrapper w to law_reader; grant usage on foreign server srv to law_reader with grant option; grant select on ft to law_reader;
revoke usage on language lang from public; grant usage on language lang to law_reader;
do $$ begin execute format('grant create, connect on database %I to law_reader', current_database()); execute format('revoke temporary on database %I from public', current_database()); end $$;
-- pair: default privileges of every kind
create schema s;
-- old
alter default privileges grant select on tables to law_reader;
alter default privileges in schema s grant usage on sequences to public;
-- new
alter default privileges grant select on tables to law_reader with grant option;
alter default privileges in schema s grant usage on sequences to "Law Writer" with grant option;
alter default privileges grant execute on functions to law_reader;
alter default privileges revoke usage on types from public;
alter default privileges grant create on schemas to law_reader;
alter default privileges in schema s grant insert on tables to law_reader;
alter default privileges for role law_reader grant select on tables to law_owner;
create table s.t (a serial);
create function s.f() returns integer language sql as 'select 1';
create type s.e as enum ('a');
create schema s2;
-- pair: settings of the database (superuser)
-- old
do $$ declare d name := current_database(); begin execute format('alter database %I set work_mem = ''5MB''', d); execute format('alter role law_reader in database %I set search_path = a, "B c"', d); end $$;
-- new
do $$ declare d name := current_database(); begin execute format('alter database %I set work_mem = ''6MB''', d); execute format('alter database %I set search_path = app, public', d); execute format('alter role "Law Writer" in database %I set statement_timeout = ''5s''', d); execute format('alter database %I set "my.setting" = ''it''''s''', d); end $$;
-- pair: owner of the database (superuser)
-- old
create table t (a integer);
-- new
create table t (a integer);
do $$ begin execute format('alter database %I owner to law_owner', current_database()); end $$;
-- pair: triggers in every way
create function f() returns trigger language plpgsql as 'begin return null; end';
create table t (a integer, b text);
create view v as select a from t;
-- old
create trigger one before insert on t for each row execute function f();
create trigger two after update on t referencing old table as o new table as n for each row execute function f();
create constraint trigger three after insert on t deferrable initially deferred for each row when (new.a > 0) execute function f();
create trigger four after truncate on t for each statement execute function f();
create trigger five instead of insert on v for each row execute function f();
create trigger six after insert on t for each row execute function f();
create constraint trigger seven after insert or delete on t for each row execute function f();
alter table t enable replica trigger four;
-- new
create trigger one after delete or update of b, a on t for each statement execute function f('a', '', 'ö''\x');
create trigger two after update on t referencing old table as gone new table as "New one" for each statement execute function f();
create constraint trigger three after insert or update of a on t not deferrable for each row execute function f();
create trigger four before truncate on t for each statement execute function f();
create trigger five instead of insert or update or delete on v for each row execute function f('x');
create constraint trigger six after insert on t deferrable for each row execute function f();
create constraint trigger seven after insert or delete on t deferrable initially immediate for each row execute function f();
comment on trigger one on t is 'x';
alter table t disable trigger two;
-- pair: constraint trigger over another table
create function f() returns trigger language plpgsql as 'begin return null; end';
create table u (a integer primary key);
create table t (a integer);
-- old
create constraint trigger tr after insert on t from u for each row execute function f();
-- new
create constraint trigger tr after insert on t from u deferrable initially deferred for each row execute function f();
-- pair: trigger of a partitioned table, its clones and states
create function f() returns trigger language plpgsql as 'begin return null; end';
create table t (a integer) partition by list (a);
create table t1 partition of t for values in (1);
create table t2 partition of t for values in (2) partition by list (a);
create table t21 partition of t2 for values in (2);
-- old
create trigger tr after insert on t for each row execute function f();
create trigger own before insert on t1 for each row execute function f();
-- new
create trigger tr after insert or delete on t for each row execute function f();
create trigger ntr after insert on t for each row execute function f();
alter table t1 disable trigger tr; alter table t21 enable always trigger ntr;
comment on trigger ntr on t2 is 'clone';
-- pair: rules in every way
create table t (a integer, b text);
create table log (a integer);
create view v as select a from t;
-- old
create rule r as on insert to t do also insert into log values (new.a);
create rule s as on update to t where old.a > 0 do instead nothing;
create rule w as on insert to v do instead insert into t values (new.a);
alter table t enable always rule s;
-- new
create rule r as on delete to t do instead (insert into log values (old.a); delete from log where a = 1);
create rule s as on update to t where old.a > 1 do also nothing;
create rule w as on insert to v do instead insert into t values (new.a + 1) returning t.a;
comment on rule r on t is 'x';
alter table t enable replica rule s;
-- pair: row policies with functions and sub-selects
create table u (a integer, who text);
create table t (a integer, b text);
create schema s;
-- old
create function s.me() returns text language sql stable as 'select current_user::text';
create policy p on t using (exists (select from u where u.a = t.a and u.who = s.me())) with check (b = s.me());
create policy q on t for insert to law_reader with check (a in (select a from u));
alter table t enable row level security;
-- new
create function s.me(x integer default 1) returns text language sql stable as 'select current_user::text';
create view mine as select a from u where who = s.me();
create policy p on t for update to law_reader, "Law Writer" using (a in (select a from mine)) with check (b = s.me(2));
create policy q on t as restrictive for insert with check (true);
create policy "Ö, p" on t for delete using (a = any (array(select a from u where u.who = t.b)));
alter table t force row level security;
-- pair: indexes in every way (superuser)
create extension if not exists pg_trgm;
create table t (a integer not null, b text, c text collate "C", d tsvector, e integer not null, f integer);
create index keep on t (a);
-- old
create index one on t (a);
create index two on t (b);
create index three on t (lower(b));
create unique index four on t (e);
create index five on t (a) include (b);
create unique index six on t (a, f) nulls not distinct;
create index seven on t using gin (b gin_trgm_ops);
create index eight on t using gist (d tsvector_ops (siglen = 100));
create index nine on t (f);
alter table t replica identity using index four;
cluster t using keep;
-- new
create index one on t (a desc nulls last) where b > 'x';
create index two on t (b collate "C" text_pattern_ops);
create index three on t (lower(b), upper(c));
alter index three alter column 1 set statistics 500;
create unique index four on t (e);
create index five on t using hash (b) with (fillfactor = 60);
create unique index six on t (a, f);
create index seven on t using gist (b gist_trgm_ops (siglen = 32));
create index eight on t using gist (d tsvector_ops (siglen = 200)) tablespace law_space;
create index nine on t (c collate "POSIX", a desc) with (deduplicate_items = off);
alter table t replica identity full;
-- pair: extended statistics
create schema s;
create table t (a integer, b integer, "C d" text);
create table u (a integer, b integer);
-- old
create statistics one on a, b from t;
create statistics two (ndistinct) on a, "C d" from t;
create statistics three on lower("C d") from t;
create statistics four on a, b from t;
-- new
create statistics one (mcv, dependencies) on a, b from t;
create statistics two (ndistinct) on a, (b + 1) from t;
alter statistics two set statistics 50;
create statistics three on upper("C d") from t;
create statistics four on a, b from u;
create statistics s."Fi ve" on a, b from t;
comment on statistics one is 'x';
-- pair: sequences in other hands (superuser)
create table t (a integer, b integer);
create schema s;
-- old
create sequence q owned by t.a;
create sequence s.q increment 2;
alter table t alter a set default nextval('q');
-- new
create sequence q owned by t.b;
create sequence s.q increment -2 minvalue -100 maxvalue -1 start -5 cycle;
alter table t alter a set default nextval('s.q');
alter sequence s.q owner to law_owner; grant usage on sequence q to law_reader;
comment on sequence q is 'x';
-- pair: kinds of tables in tablespaces and of access methods (superuser)
create access method am type table handler heap_tableam_handler;
-- old
create table t (a integer primary key, b text unique);
create table u (a integer) using am;
create materialized view m as select 1 as a;
create unlogged table l (a serial);
create table p (a integer) partition by list (a) tablespace law_space;
create table p1 partition of p for values in (1);
-- new
create table t (a integer primary key using index tablespace law_space, b text unique) tablespace law_space;
create table u (a integer);
create materialized view m using am with (fillfactor = 50) tablespace law_space as select 1 as a with no data;
comment on table u is 'moved';
create table l (a serial);
create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1);
create table n (a integer) using am tablespace law_space;
-- pair: inheritance in every way
create table a (x integer, y text);
create table b (z integer, x integer);
-- old
create table c (own text) inherits (a);
create table d (x integer, y text, z integer);
create table e (k integer) inherits (a, b);
-- new
create table c (own text, x integer, y text);
create table d (x integer, y text, z integer) inherits (a);
create table e (k integer) inherits (b, a);
alter table only a add constraint k check (x > 0) no inherit;
alter table a add constraint l check (y > '');
alter table c alter x set default 5;
-- pair: typed tables and their type
create type ty as (a integer, b text);
create type other as (a integer, b text);
-- old
create table t of ty (primary key (a));
create table u (a integer, b text);
create table w of ty;
-- new
create table t of ty (primary key (a), b default 'x', constraint k check (a > 0));
create table u of other;
create table w of other (a not null);
-- pair: functions in every way (superuser)
create function sup(internal) returns internal language internal as 'generate_series_int4_support';
create schema s;
-- old
create function f(a integer, out b integer, inout c text) language plpgsql as 'begin end';
create function g(variadic a integer[]) returns setof integer language sql as 'select 1';
create function h(a integer) returns setof integer language sql as 'select 1';
create function i() returns integer language sql as 'select 1';
create function j(anyelement, b anyarray default null) returns anyelement language sql as 'select $1';
create function k(a integer default 1, b text default 'x') returns text language sql as $$ select 'x' $$;
create procedure p(a integer, out b text) language plpgsql as 'begin end';
create function w() returns integer language internal window as 'window_row_number';
create function l(integer) returns integer language sql as 'select 1';
-- new
create function f(a integer, out b bigint, inout c text) language plpgsql as 'begin end';
create function g(variadic b integer[]) returns setof bigint language sql as 'select 1::bigint';
create function h(a integer) returns setof integer language sql stable leakproof strict cost 10 rows 20 support sup as 'select 1';
create function i() returns integer language plpgsql parallel restricted security definer set search_path = s, pg_temp set work_mem = '5MB' as 'begin return 1; end';
create function j(anyelement, b anyarray default null) returns anyelement language plpgsql as 'begin return $1; end';
create function k(a integer default 2, b text default 'x' || 'y') returns text language sql return b || a;
create procedure p(inout a integer, out b text) language plpgsql as 'begin end';
create function w() returns bigint language internal window as 'window_row_number';
create function s.l(integer) returns integer language sql as 'select 1';
create function "Fn; ö"("A ""x""" integer, "b" text = 'x') returns table ("C d" integer, e text) language sql as $x$ select 1, '$$' $x$;
-- pair: aggregates in every way
create function st(integer, integer) returns integer language sql immutable as 'select 1';
create function fin(integer) returns text language sql immutable as $$ select 'x' $$;
-- old
create aggregate one(integer) (sfunc = st, stype = integer);
create aggregate two(integer) (sfunc = int4pl, stype = integer, initcond = '0');
create aggregate three(*) (sfunc = int8inc, stype = bigint, initcond = '0');
-- new
create aggregate one(a integer) (sfunc = st, stype = integer, finalfunc = fin, parallel = safe, mfinalfunc = fin, msfunc = st, minvfunc = st, mstype = integer, sortop = <);
create aggregate two(integer) (sfunc = int4pl, stype = integer, initcond = '0', combinefunc = int4pl);
create aggregate three(*) (sfunc = int8inc, stype = bigint, initcond = '1');
comment on aggregate three(*) is 'counts';
-- pair: event triggers in every way (superuser)
create function f() returns event_trigger language plpgsql as 'begin end';
create function g() returns event_trigger language plpgsql as 'begin end';
-- old
create event trigger one on ddl_command_end execute function f();
create event trigger two on sql_drop execute function f();
create event trigger three on ddl_command_start when tag in ('CREATE TABLE') execute function f();
-- new
create event trigger one on ddl_command_start execute function f();
create event trigger two on sql_drop execute function g();
create event trigger three on ddl_command_start when tag in ('CREATE TABLE', 'DROP TABLE') execute function f();
alter event trigger two enable always; alter event trigger three enable replica;
comment on event trigger two is 'x';
-- pair: publications in every way (superuser)
create schema app;
create table t (a integer primary key, b text);
create table app.u (a integer primary key);
create table p (a integer primary key) partition by list (a);
create table p1 partition of p for values in (1);
-- old
create publication one for all tables;
create publication two for tables in schema app;
create publication three for table t where (a > 5), p;
create publication four;
-- new
create publication one for table t (a);
create publication two for tables in schema app, public with (publish = 'insert');
create publication three for table t where (a > 6 and b is not null), p with (publish_via_partition_root = true);
create publication four for tables in schema app, table t;
create publication five for all tables with (publish = 'delete, truncate');
-- pair: publication of generated columns (superuser, since 18)
create table t (a integer primary key, g integer generated always as (a * 2) stored);
-- old
create publication p for table t;
-- new
create publication p for table t with (publish_generated_columns = stored);
-- pair: foreign servers and wrappers in every way (superuser)
create extension postgres_fdw;
create foreign data wrapper other;
-- old
create foreign data wrapper w options (a '1');
create server s foreign data wrapper w;
create server p foreign data wrapper postgres_fdw options (host 'x', dbname 'y');
create foreign table f (a integer options (column_name 'x'), b text) server p options (table_name 'one');
create foreign table g (a integer) server p;
-- new
create foreign data wrapper w handler postgres_fdw_handler validator postgres_fdw_validator;
create server s type 'x' version '1.0' foreign data wrapper other;
create server p version '2' foreign data wrapper postgres_fdw options (host 'z', port '5433');
create foreign table f (a bigint options (column_name 'y') not null default 5, b text, constraint k check (a > 0)) server p options (table_name 'two', schema_name 'it''s');
create foreign table g (a integer) server s;
-- pair: extensions (superuser)
create schema ext;
-- old
create extension pg_trgm schema public;
create extension citext;
-- new
create extension pg_trgm schema ext;
create extension hstore schema ext;
-- pair: collations in use
create schema s;
-- old
create collation one from "C";
create collation two from "C";
create table t (a text collate two, b text collate two unique, constraint k check (a collate two > 'a'));
create index i on t (a collate one);
create domain d as text collate two;
create view v as select a collate one as a, b from t;
-- new
create collation one from "POSIX";
create collation two from "POSIX";
create table t (a text collate two, b text collate two unique, constraint k check (a collate two > 'a'));
create index i on t (a collate one);
create domain d as text collate one;
create view v as select a collate one as a, b from t;
create collation s."Co x" (provider = libc, lc_collate = 'C', lc_ctype = 'POSIX');
-- pair: builtin collations (since 17)
-- old
create collation one (provider = builtin, locale = 'C');
create collation two from "C";
-- new
create collation one (provider = builtin, locale = 'C.UTF-8');
create collation two (provider = builtin, locale = 'C');
-- pair: text search, conversions, casts, transforms, languages (superuser)
create type e as enum ('a');
-- old
create text search parser tsp (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
create text search template tst (lexize = dsimple_lexize, init = dsimple_init);
create text search dictionary d (template = simple, accept = false);
create text search dictionary d2 (template = tst, stopwords = 'english');
create text search configuration c (copy = english);
create conversion con for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create function cf(e) returns integer language sql immutable as 'select 1';
create cast (e as integer) with function cf(e);
create cast (integer as e) with inout;
create language lang handler plpgsql_call_handler;
create transform for integer language lang (from sql with function generate_series_int4_support(internal));
create access method am type index handler bthandler;
-- new
create text search parser tsp (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype, headline = prsd_headline);
create text search template tst (lexize = dsimple_lexize);
create text search dictionary d (template = simple, accept = true, stopwords = 'english');
create text search dictionary d2 (template = tst);
create text search configuration c (copy = english);
alter text search configuration c alter mapping for asciiword with d, english_stem;
alter text search configuration c drop mapping for email;
create default conversion con for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create function cf(e) returns integer language sql immutable as 'select 1';
create cast (e as integer) with function cf(e) as implicit;
create cast (integer as e) with inout as assignment;
create trusted language lang handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator;
create transform for integer language lang (from sql with function generate_series_int4_support(internal));
create access method am type table handler heap_tableam_handler;
-- pair: these kinds come (superuser)
-- old
create table z (a integer);
-- new
create table z (a integer);
create policy p on z using (true);
create type c as (a integer);
create domain d as integer constraint k check (value > 0) not null default 5;
create text search parser tsp (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
create text search template tst (lexize = dsimple_lexize, init = dsimple_init);
create text search dictionary td (template = tst);
create text search configuration tc (copy = english);
alter text search configuration tc alter mapping for word with td;
create conversion con for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create language lang handler plpgsql_call_handler;
create transform for c language lang (from sql with function generate_series_int4_support(internal));
create access method am type table handler heap_tableam_handler;
create table using_it (a c) using am;
create foreign data wrapper w;
create server srv foreign data wrapper w;
create foreign table ft (a d) server srv;
create index ti on z (a) where a > 0;
create materialized view mv as select a from z with no data;
create procedure pr() language plpgsql as 'begin end';
create collation co from "C";
create statistics st on a, (a + 1) from z;
create publication pb for table z;
create function ef() returns event_trigger language plpgsql as 'begin end';
create event trigger et on sql_drop execute function ef();
create cast (integer as c) with inout;
create rule ru as on delete to z do instead nothing;
create operator === (leftarg = integer, rightarg = integer, function = int4eq, commutator = ===, negator = !==, restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator family fam using hash;
create operator class cl for type integer using hash family fam as operator 1 =, function 1 hashint4(integer);
-- pair: attributes, ranges, enums
create schema s;
create function idiff(integer, integer) returns float8 language sql immutable as 'select 1.0::float8';
-- old
create type c as (a integer, b text);
create type r as range (subtype = text);
create type r2 as range (subtype = integer, multirange_type_name = mr);
create domain d as text constraint k check (value > 'a') constraint l check (value > 'b');
create table t (a r2, b mr, c c);
create function f(c) returns mr language sql as 'select null::mr';
-- new
create type r as range (subtype = text, collation = "C");
create type c as (a integer, b text collate "C", c r);
create type r2 as range (subtype = integer, multirange_type_name = "Mr x", subtype_diff = idiff);
create domain d as text collate "C" constraint k check (value > 'a') constraint m check (value > 'c') not null;
create table t (a r2, b "Mr x", c c);
create function f(c) returns "Mr x" language sql as 'select null::"Mr x"';
create type s.c as enum ('x');
comment on constraint k on domain d is 'k';
-- pair: things of one name in several schemas and kinds
create schema one;
create schema "Two";
-- old
create table one.x (x integer primary key, y text, constraint y check (x > 0));
create table "Two".x (x integer primary key, y text);
create function one.x(x integer) returns integer language sql as 'select 1';
create function "Two".x(x integer) returns integer language sql as 'select 1';
create sequence one.y;
create type "Two".y as enum ('x');
create index z on one.x (y);
create index z on "Two".x (y);
create view one.v as select x.x from one.x;
create view "Two".v as select x.x, one.x(x.x) as y from "Two".x;
create trigger x before insert on one.x for each row execute function suppress_redundant_updates_trigger();
create policy x on one.x using (x > 0);
create rule x as on delete to one.x do instead nothing;
-- new
create table one.x (x bigint primary key, y text, constraint y check (x > 1));
create table "Two".x (y text, x integer primary key);
create function one.x(x integer) returns bigint language sql as 'select 1::bigint';
create function "Two".x(x integer, x2 integer) returns integer language sql as 'select 1';
create sequence "Two".y;
create type one.y as enum ('x');
create index z on one.x (y, x);
create index z on "Two".x (lower(y));
create view one.v as select x.x from one.x;
create view "Two".v as select x.x, one.x(x.x) as y from "Two".x;
create trigger x before insert on "Two".x for each row execute function suppress_redundant_updates_trigger();
create policy x on "Two".x using (x > 0);
create rule x as on delete to "Two".x do instead nothing;
-- pair: names that need care, everywhere
create schema "sélect ""from"" \x";
-- old
create table "sélect ""from"" \x"."Order; drop" ("a""b" integer primary key, "select" text, constraint "check it" check ("a""b" > 0));
create function "sélect ""from"" \x"."f'x"("in" integer) returns integer language sql immutable as 'select 1';
-- new
create table "sélect ""from"" \x"."Order; drop" ("a""b" bigint primary key, "select" text default 'it''s \', "ключ от квартиры, где деньги ле" date, constraint "check it" check ("a""b" > 1));
create type "sélect ""from"" \x"."table" as enum ('it''s', '\', '"', 'ö', '');
create function "sélect ""from"" \x"."f'x"("in" integer) returns bigint language sql immutable as 'select 1::bigint';
create index "ключ от квартиры, где деньги ле" on "sélect ""from"" \x"."Order; drop" ("sélect ""from"" \x"."f'x"("a""b"::integer));
create view "sélect ""from"" \x"."user" as select "a""b" as "a b", "ключ от квартиры, где деньги ле" as "end" from "sélect ""from"" \x"."Order; drop";
create trigger "t""r" before update of "a""b", "select" on "sélect ""from"" \x"."Order; drop" for each row when (new."select" <> '\') execute function suppress_redundant_updates_trigger();
create policy "p'ö" on "sélect ""from"" \x"."Order; drop" to "Law Writer" using ("select" = 'x');
create rule "ru le" as on delete to "sélect ""from"" \x"."Order; drop" do instead nothing;
create statistics "sélect ""from"" \x"."s t" on "a""b", "select" from "sélect ""from"" \x"."Order; drop";
create domain "sélect ""from"" \x"."do main" as "sélect ""from"" \x"."table" constraint "c k" check (value <> 'ö');
create operator "sélect ""from"" \x".<-> (leftarg = integer, rightarg = integer, function = int4eq);
create sequence "sélect ""from"" \x"."Order; drop_a""b_seq" owned by "sélect ""from"" \x"."Order; drop"."a""b";
comment on column "sélect ""from"" \x"."Order; drop"."a""b" is 'it''s \ "x"';
grant select ("a""b") on "sélect ""from"" \x"."Order; drop" to "Law Writer";
-- pair: heirs leave and lose what they had
-- old
create table a (x integer, y text, constraint l check (x > 0));
create table d (k integer) inherits (a);
create table e (k integer) inherits (a);
alter table e alter y set default 'x';
-- new
create table a (x integer, y text);
create table d (k integer);
create table e (k integer, y text);
-- pair: partitions leave and lose what they had
-- old
create table p (a integer, b text, c date, constraint k check (b > ''), primary key (a)) partition by list (a);
create table p1 partition of p for values in (1);
create table p2 partition of p for values in (2);
create index on p (b);
-- new
create table p (a integer, b text, c date, constraint k check (b > ''), primary key (a)) partition by list (a);
create table p1 (a integer not null, c date);
create table p2 (a integer, b text);
create index on p (b);
-- pair: rivals of one name
create table t (a smallint, b integer);
-- old
create function f(a integer) returns integer language sql immutable as 'select 1';
create function g() returns integer language sql immutable as 'select 1';
create function h(a integer) returns integer language sql immutable as 'select 1';
create view v as select f(a) as x, g() as y from t;
create view w as select h(1) as x;
alter table t alter b set default f(1::smallint) + g();
alter table t add constraint k check (f(a) > g());
create index i on t (f(a));
create function user_of_f() returns integer return f(2::smallint);
create policy p on t using (f(a) > g());
create rule r as on delete to t do also update t set b = f(old.a);
-- new
create function f(a bigint) returns integer language sql immutable as 'select 1';
create function g(x integer default 1) returns integer language sql immutable as 'select 1';
create function h(a integer, b integer) returns integer language sql immutable as 'select 1';
create view v as select f(a) as x, g() as y from t;
create view w as select h(1, 2) as x;
alter table t alter b set default f(1::smallint) + g();
alter table t add constraint k check (f(a) > g());
create index i on t (f(a));
create function user_of_f() returns integer return f(2::smallint);
create policy p on t using (f(a) > g());
create rule r as on delete to t do also update t set b = f(old.a);
-- pair: what is left to change in place
create function f() returns trigger language plpgsql as 'begin return null; end';
create table one (a integer primary key);
create table two (a integer primary key);
create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1);
-- old
create table t (a integer default 5, b integer constraint k references one);
create type ty as enum ('x');
create function w() returns bigint language sql as 'select 1::bigint';
create trigger tr after insert on p for each row execute function f();
-- new
create table t (a integer[] default '{5}', b integer constraint k references two);
create type ty as (x integer);
create procedure w() language sql as 'select 1';
create trigger tr after insert on p1 for each row execute function f();
-- pair: a partition leaves and keeps its trigger, key and index
create function f() returns trigger language plpgsql as 'begin return null; end';
create table r (a integer primary key);
-- old
create table p (a integer references r, b text) partition by list (a);
create table p1 partition of p for values in (1);
create trigger tr after insert on p for each row execute function f();
create index i on p (b);
-- new
create table p (a integer references r, b text) partition by list (a);
create table p1 (a integer references r, b text);
create trigger tr after insert on p for each row execute function f();
create trigger tr after insert on p1 for each row execute function f();
create index i on p (b);
create index p1_b_idx on p1 (b);
