-- Pairs of definitions. A block begins with `-- NAME: forth, back`, each of which is `in place` or `anew`; `old` and `new` follow, after
-- what both have. Everything that changes has the block's name as its schema or in its own name. Roles as in objects.sql.

-- c_labels: in place, anew
create schema c_labels;
-- old
create type c_labels.t as enum ('b', 'd''d', E'\\');
-- new
create type c_labels.t as enum ('a', 'aa', 'b', 'c', 'd''d', E'\\', 'z');

-- c_first_label: in place, anew
create schema c_first_label;
-- old
create type c_first_label."T" as enum ();
-- new
create type c_first_label."T" as enum ('a', 'b');

-- c_label_order: anew, anew
create schema c_label_order;
-- old
create type c_label_order.t as enum ('a', 'b');
-- new
create type c_label_order.t as enum ('b', 'a');

-- c_domain: in place, in place
create schema c_domain;
-- old
create domain c_domain.d as integer default 1 constraint small check (value < 9) constraint old check (value > 0);
comment on constraint small on domain c_domain.d is 'small';
create domain c_domain.n as text not null;
-- new
create domain c_domain.d as integer constraint small check (value < 9) constraint "N w" check (value > 1) not null;
comment on constraint small on domain c_domain.d is 'it''s small';
comment on constraint "N w" on domain c_domain.d is 'new';
create domain c_domain.n as text default 'x'::text;

-- c_domain_late: in place, anew
create schema c_domain_late;
-- old
create domain c_domain_late.d as text;
alter domain c_domain_late.d add constraint late check (value <> 'x') not valid;
-- new
create domain c_domain_late.d as text constraint late check (value <> 'x');

-- c_domain_base: anew, anew
create schema c_domain_base;
-- old
create domain c_domain_base.d as integer;
create domain c_domain_base.e as text collate "C";
-- new
create domain c_domain_base.d as bigint;
create domain c_domain_base.e as text collate "POSIX";

-- c_composite: in place, in place
create schema c_composite;
-- old
create type c_composite."T" as (a integer, "gone ""1""" text, c text);
comment on column c_composite."T".a is 'a';
create table c_composite.typed of c_composite."T";
create type c_composite.plain as (a integer);
-- new
create type c_composite."T" as (a integer, c text, "N w" timestamptz(2)[]);
comment on column c_composite."T".c is 'c';
create table c_composite.typed of c_composite."T";
create type c_composite.plain as (a bigint);

-- c_range: anew, anew
create schema c_range;
-- old
create type c_range.r as range (subtype = float8);
-- new
create type c_range.r as range (subtype = float8, subtype_diff = float8mi);

-- c_function: in place, in place
create schema c_function;
-- old
create function c_function.f(a integer, b text default 'x') returns text language sql immutable cost 5 as 'select b';
create procedure c_function.p(a integer) language plpgsql as 'begin end';
create function c_function.s() returns integer language sql begin atomic select 1; end;
create aggregate c_function.a(integer) (sfunc = int4pl, stype = integer);
create function c_function.variadic(variadic a integer[]) returns integer language sql as 'select 1';
create function c_function.one_out(in a integer, out b integer) language sql as 'select a';
-- new
create function c_function.f(a integer, b text default 'y') returns text language plpgsql stable strict security definer set search_path = ''
  as 'begin return b; end';
comment on function c_function.f(integer, text) is 'f';
alter function c_function.f(integer, text) owner to keeper;
revoke execute on function c_function.f(integer, text) from public;
create procedure c_function.p(a integer) language plpgsql as 'begin return; end';
grant execute on procedure c_function.p(integer) to "größte" with grant option;
create function c_function.s() returns integer language sql begin atomic select 2; end;
create aggregate c_function.a(integer) (sfunc = int4pl, stype = integer, initcond = '5', parallel = safe);
create function c_function.variadic(a integer[]) returns integer language sql as 'select 1';
create function c_function.one_out(in a integer, out c integer) language sql as 'select a';

-- c_function_named: in place, anew
create schema c_function_named;
-- old
create function c_function_named.f(integer, text) returns text language sql as 'select $2';
-- new
create function c_function_named.f(a integer, b text default 'x') returns text language sql as 'select $2';

-- c_function_anew: anew, anew
create schema c_function_anew;
-- old
create function c_function_anew.argument(a integer) returns text language sql as 'select 1::text';
create function c_function_anew.result(a integer) returns text language sql as 'select 1::text';
create function c_function_anew.rows() returns integer language sql as 'select 1';
create function c_function_anew.outs(out a integer, out b text) language sql as $$ select 1, 'x' $$;
create function c_function_anew.columns() returns table (a integer, d text) language sql as $$ select 1, 'x' $$;
create function c_function_anew.kind() returns bigint language internal immutable strict as 'window_row_number';
create function c_function_anew.of_any(a anyelement, b anyelement default 1) returns integer language sql as 'select 1';
create aggregate c_function_anew.middle(double precision order by double precision) (sfunc = ordered_set_transition_multi, stype = internal,
  finalfunc = rank_final);
create aggregate c_function_anew.total(integer) (sfunc = int4pl, stype = integer);
create procedure c_function_anew.p(out a integer) language plpgsql as 'begin end';
-- new
create function c_function_anew.argument(b integer) returns text language sql as 'select 1::text';
create function c_function_anew.result(a integer) returns integer language sql as 'select 1';
create function c_function_anew.rows() returns setof integer language sql as 'select 1';
create function c_function_anew.outs(out a integer, out c text) language sql as $$ select 1, 'x' $$;
create function c_function_anew.columns() returns table (b integer, d text) language sql as $$ select 1, 'x' $$;
create function c_function_anew.kind() returns bigint language internal window immutable strict as 'window_row_number';
create function c_function_anew.of_any(a anyelement, b anyelement default 'x'::text) returns integer language sql as 'select 1';
create aggregate c_function_anew.middle(double precision order by double precision) (sfunc = ordered_set_transition_multi, stype = internal,
  finalfunc = rank_final, hypothetical);
create aggregate c_function_anew.total(integer) (sfunc = int4_avg_accum, stype = bigint[], finalfunc = int8_avg, initcond = '{0,0}');
create procedure c_function_anew.p(out b integer) language plpgsql as 'begin end';

-- c_privileges: in place, in place
create schema c_privileges;
grant usage on schema c_privileges to public;
create table c_privileges.t (a integer, b integer);
-- old
create type c_privileges.own as enum ('a');
create type c_privileges.everyone as enum ('a');
revoke usage on type c_privileges.everyone from public, keeper;
create function c_privileges.f() returns integer language sql as 'select 1';
grant execute on function c_privileges.f() to keeper with grant option;
set role keeper;
grant execute on function c_privileges.f() to "größte" with grant option;
set role "größte";
grant execute on function c_privileges.f() to "Le 'Sser";
reset role;
create domain c_privileges.d as integer;
alter domain c_privileges.d owner to keeper;
create type c_privileges.given as (a integer);
grant usage on type c_privileges.given to "größte";
grant usage on schema c_privileges to keeper with grant option;
-- new
create type c_privileges.own as enum ('a');
grant usage on type c_privileges.own to "Le 'Sser";
create type c_privileges.everyone as enum ('a');
create function c_privileges.f() returns integer language sql as 'select 1';
grant execute on function c_privileges.f() to "größte" with grant option;
set role "größte";
grant execute on function c_privileges.f() to "Le 'Sser" with grant option;
reset role;
create domain c_privileges.d as integer;
alter domain c_privileges.d owner to "größte";
revoke usage on domain c_privileges.d from "größte", public;
create type c_privileges.given as (a integer);
grant usage on type c_privileges.given to "größte";
alter type c_privileges.given owner to "größte";
grant usage, create on schema c_privileges to keeper;

-- c_schema: in place, in place
-- old
create schema c_schema;
comment on schema c_schema is 'x';
-- new
create schema c_schema authorization keeper;

-- c_default: in place, in place
create schema c_default;
-- old
alter default privileges in schema c_default grant select, insert on tables to keeper with grant option;
alter default privileges for role keeper in schema c_default grant usage on sequences to "größte";
alter default privileges for role keeper in schema c_default revoke all on types from public;
-- new
alter default privileges in schema c_default grant select on tables to keeper, public;
alter default privileges in schema c_default grant update on tables to "größte" with grant option;
alter default privileges for role "größte" in schema c_default grant execute on functions to keeper;

-- c_everywhere: in place, in place
create schema c_everywhere;
-- old
alter default privileges for role "größte" revoke execute on functions from public;
alter default privileges for role "größte" grant usage on schemas to keeper;
-- new
alter default privileges for role "größte" revoke execute on functions from "größte";
alter default privileges for role "größte" revoke create on schemas from "größte";

-- c_publication: in place, in place
create schema c_publication;
create schema "c_publication 2";
create table c_publication.t (a integer primary key, flag boolean);
create table c_publication."U ""1""" (a integer primary key);
-- old
create publication c_publication for table c_publication.t (a), c_publication."U ""1""" with (publish = 'insert');
create publication "c_publication to nothing" for table c_publication.t, c_publication."U ""1""";
create publication "c_publication schemas" for tables in schema c_publication, "c_publication 2";
create publication "c_publication all" for all tables;
create publication "c_publication both" for table c_publication.t;
-- new
create publication "c_publication both" for table c_publication."U ""1""", tables in schema "c_publication 2";
create publication c_publication for table c_publication.t where (flag) with (publish = '', publish_via_partition_root = true);
create publication "c_publication to nothing";
create publication "c_publication schemas" for tables in schema "c_publication 2";
create publication "c_publication all" for all tables with (publish = 'truncate');
comment on publication "c_publication all" is 'all';

-- c_all_tables: anew, anew
-- old
create publication c_all_tables;
-- new
create publication c_all_tables for all tables;

-- c_trigger: in place, in place
create function public.c_trigger() returns event_trigger language plpgsql as 'begin end';
-- old
create event trigger c_trigger on ddl_command_end execute function public.c_trigger();
-- new
create event trigger c_trigger on ddl_command_end execute function public.c_trigger();
alter event trigger c_trigger enable replica;
comment on event trigger c_trigger is 'c';

-- c_other_trigger: anew, anew
create function public.c_other() returns event_trigger language plpgsql as 'begin end';
-- old
create event trigger c_other_trigger on ddl_command_end execute function public.c_other();
-- new
create event trigger c_other_trigger on ddl_command_end when tag in ('DROP TABLE') execute function public.c_other();

-- c_server: in place, in place
create function public.c_server(text[], oid) returns void language plpgsql as 'begin end';
-- old
create foreign data wrapper c_server options (a '1', b '2');
create server c_server version '1' foreign data wrapper c_server options (host 'x', "Port" '1');
-- new
create foreign data wrapper c_server validator public.c_server options (b '3', "C d" '''');
create server c_server version '2' foreign data wrapper c_server options (host 'y=z', other 'b');
grant usage on foreign server c_server to keeper;
comment on server c_server is 's';

-- c_server_anew: anew, anew
create foreign data wrapper wrap_anew;
-- old
create server c_server_anew type 'a' foreign data wrapper wrap_anew;
-- new
create server c_server_anew type 'b' foreign data wrapper wrap_anew;

-- c_server_version: in place, anew
create foreign data wrapper wrap_version;
-- old
create server c_server_version foreign data wrapper wrap_version;
-- new
create server c_server_version version '1' foreign data wrapper wrap_version;

-- c_mapping: in place, refused
create foreign data wrapper wrap_mapping;
-- old
create server c_mapping foreign data wrapper wrap_mapping options (host 'x');
create user mapping for "Le 'Sser" server c_mapping options (password 'x');
-- new
create server c_mapping foreign data wrapper wrap_mapping options (host 'y');

-- c_secret: refused, refused
create foreign data wrapper wrap_secret;
-- old
create server c_secret foreign data wrapper wrap_secret options (host 'x');
-- new
create server c_secret foreign data wrapper wrap_secret options (host 'x', password 'x');

-- c_collation: anew, anew
create schema c_collation;
-- old
create collation c_collation.c (provider = libc, locale = 'C');
-- new
create collation c_collation.c (provider = libc, locale = 'POSIX');

-- c_statistics: in place, in place
create schema c_statistics;
create table c_statistics.t (a integer, b integer);
-- old
create statistics c_statistics.s on a, b from c_statistics.t;
-- new
create statistics c_statistics.s on a, b from c_statistics.t;
alter statistics c_statistics.s set statistics 0;
alter statistics c_statistics.s owner to keeper;

-- c_statistics_anew: anew, anew
create schema c_statistics_anew;
create table c_statistics_anew.t (a integer, b integer);
-- old
create statistics c_statistics_anew.s on a, b from c_statistics_anew.t;
-- new
create statistics c_statistics_anew.s (mcv) on a, b from c_statistics_anew.t;

-- c_operator: in place, in place
create schema c_operator;
create function c_operator.same(integer, integer) returns boolean language sql as 'select true';
create operator family c_operator.both using btree;
-- old
create operator c_operator.=% (leftarg = integer, rightarg = integer, function = c_operator.same, restrict = eqsel, join = eqjoinsel);
create operator family c_operator."F" using btree;
alter operator family c_operator."F" using btree add operator 1 < (integer, bigint), operator 2 <= (integer, bigint),
  function 1 (integer, bigint) btint48cmp(integer, bigint);
-- new
create operator c_operator.=% (leftarg = integer, rightarg = integer, function = c_operator.same, restrict = neqsel);
comment on operator c_operator.=% (integer, integer) is 'op';
create operator family c_operator."F" using btree;
alter operator family c_operator."F" using btree add operator 1 < (bigint, integer), operator 2 <= (integer, bigint);

-- c_operator_anew: anew, anew
create schema c_operator_anew;
create function c_operator_anew.same(integer, integer) returns boolean language sql as 'select true';
create function c_operator_anew.cast_to(integer) returns time language sql as 'select ''0:0''::time';
-- old
create operator c_operator_anew.=% (leftarg = integer, rightarg = integer, function = c_operator_anew.same);
create operator class c_operator_anew.c for type integer using btree as operator 1 <, function 1 btint4cmp(integer, integer);
-- new
create operator c_operator_anew.=% (leftarg = integer, rightarg = integer, function = c_operator_anew.same, hashes);
create operator class c_operator_anew.c for type integer using btree as operator 3 =, function 1 btint4cmp(integer, integer);

-- c_search: in place, in place
create schema c_search;
-- old
create text search dictionary c_search."D" (template = pg_catalog.simple, stopwords = 'english');
create text search dictionary c_search.s (template = pg_catalog.synonym, synonyms = 'synonym_sample', casesensitive = 1);
create text search configuration c_search."C" (parser = pg_catalog.default);
alter text search configuration c_search."C" add mapping for asciiword, word with pg_catalog.simple;
-- new
create text search dictionary c_search."D" (template = pg_catalog.simple, "accept" = 'false');
comment on text search dictionary c_search."D" is 'd';
create text search dictionary c_search.s (template = pg_catalog.synonym, synonyms = 'synonym_sample', casesensitive = 0);
create text search configuration c_search."C" (parser = pg_catalog.default);
alter text search configuration c_search."C" add mapping for word, email with pg_catalog.english_stem, c_search."D";

-- c_search_anew: anew, anew
create schema c_search_anew;
-- old
create text search dictionary c_search_anew.d (template = pg_catalog.simple);
-- new
create text search dictionary c_search_anew.d (template = pg_catalog.snowball, language = 'english');

-- c_conversion: anew, anew
create schema c_conversion;
-- old
create conversion c_conversion.c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
-- new
create default conversion c_conversion.c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;

-- c_language: in place, in place
-- old
create trusted language "c_language" handler plpgsql_call_handler inline plpgsql_inline_handler;
-- new
create trusted language "c_language" handler plpgsql_call_handler inline plpgsql_inline_handler validator plpgsql_validator;
revoke usage on language c_language from public;

-- c_relations: in place, in place
create schema c_relations;
grant usage on schema c_relations to public;
create foreign data wrapper wrap_relations;
create server far_relations foreign data wrapper wrap_relations;
create sequence c_relations.free;
create view c_relations.v as select 1 as one;
create foreign table c_relations."Far" (a integer, constraint f check (a > 0)) server far_relations;
create materialized view c_relations.m as select 1 as one;
create domain c_relations.d as integer constraint c check (value > 0);
create table c_relations.t (a serial, b integer, "C c" integer, d integer generated always as identity, constraint c check (b > 0));
create index i on c_relations.t (b);
-- old
grant select, update on c_relations.t to keeper with grant option;
grant select (a, b), insert ("C c"), update (b) on c_relations.t to keeper;
grant references (b) on c_relations.t to keeper with grant option;
set role keeper;
grant references (b) on c_relations.t to "größte";
reset role;
grant usage on c_relations.free to keeper;
revoke select on c_relations.v from current_user;
grant select on c_relations."Far" to public;
comment on column c_relations."Far".a is 'far';
comment on domain c_relations.d is 'd';
-- new
grant update on c_relations.t to keeper;
grant select (a, b), update (b) on c_relations.t to keeper;
grant select ("C c") on c_relations.t to "größte" with grant option;
alter sequence c_relations.free owner to keeper;
comment on sequence c_relations.free is 'free';
alter view c_relations.v owner to keeper;
comment on view c_relations.v is 'v';
grant select (one) on c_relations.v to "größte";
alter foreign table c_relations."Far" owner to keeper;
comment on foreign table c_relations."Far" is 'far';
comment on constraint f on c_relations."Far" is 'far';
comment on constraint c on c_relations.t is 'table';
comment on constraint c on domain c_relations.d is 'domain';
comment on index c_relations.i is 'i';
comment on materialized view c_relations.m is 'm';
comment on column c_relations.m.one is 'm';
alter materialized view c_relations.m owner to keeper;

-- c_table_owner: in place, in place
create schema c_table_owner;
grant usage on schema c_table_owner to public;
create table c_table_owner.t (a serial, b integer, d integer generated always as identity);
-- old
grant select (a), insert (b) on c_table_owner.t to "größte";
grant select on c_table_owner.t to "größte" with grant option;
-- new
grant select (a), update (b) on c_table_owner.t to "größte";
alter table c_table_owner.t owner to keeper;
revoke delete on c_table_owner.t from keeper;
grant usage on c_table_owner.t_a_seq to "größte";

-- c_option: in place, in place
create schema c_option;
create table c_option.t (a integer, b integer);
create view c_option.v as select a, b from c_option.t;
-- old
grant insert, select on c_option.t to keeper with grant option;
grant insert (a), select (b) on c_option.t to keeper with grant option;
grant all on c_option.v to keeper;
grant select (a) on c_option.v to keeper with grant option;
-- new
grant insert, select on c_option.t to keeper;
grant insert (a) on c_option.t to keeper with grant option;
grant select (b), update (b) on c_option.t to keeper;
grant select (a) on c_option.v to keeper with grant option;
