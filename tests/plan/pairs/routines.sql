-- Functions, procedures, aggregates.
-- pair: come and go
-- old
create function f() returns integer language sql as 'select 1';
-- new
create procedure p(a integer, inout b text default 'x') language plpgsql as 'begin end';
comment on procedure p(integer, text) is 'does';
grant execute on procedure p(integer, text) to law_reader;
-- pair: body and qualities
-- old
create function f(a integer) returns integer language sql as 'select 1';
-- new
create function f(a integer) returns integer language sql immutable strict parallel safe cost 5 security definer set search_path = pg_catalog, pg_temp as 'select 2';
revoke execute on function f(integer) from public;
-- pair: argument name
-- old
create function f(a integer) returns integer language sql as 'select 1';
create view v as select f(1);
-- new
create function f(b integer) returns integer language sql as 'select 1';
create view v as select f(1);
-- pair: default of an argument
-- old
create function f(a integer, b integer default 1) returns integer language sql as 'select 1';
create function g(a integer) returns integer language sql as 'select 1';
-- new
create function f(a integer, b integer) returns integer language sql as 'select 1';
create function g(a integer default 3) returns integer language sql as 'select 1';
-- pair: signature
-- old
create function f(a integer) returns integer language sql as 'select 1';
create table t (a integer default f(1));
-- new
create function f(a bigint) returns integer language sql as 'select 1';
create table t (a integer default f(1));
-- pair: return type under default, check, index, policy
-- old
create function f(a integer) returns integer language sql immutable as 'select 1';
create table t (a integer default f(1), b integer, constraint c check (f(b) > 0));
create index i on t (f(b));
create policy p on t using (f(a) > 0);
-- new
create function f(a integer) returns bigint language sql immutable as 'select 1';
create table t (a integer default f(1), b integer, constraint c check (f(b) > 0));
create index i on t (f(b));
create policy p on t using (f(a) > 0);
-- pair: function of a generated column
-- old
create function f(a integer) returns integer language sql immutable as 'select 1';
create table t (a integer, g integer generated always as (f(a)) stored);
-- new
create function f(b integer) returns integer language sql immutable as 'select 2';
create table t (a integer, g integer generated always as (f(a)) stored);
-- pair: trigger function
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer);
create trigger tr before insert on t for each row execute function f();
-- new
create function g() returns trigger language plpgsql as 'begin return null; end';
create table t (a integer);
create trigger tr before insert on t for each row execute function g();
-- pair: sql body
-- old
create table t (a integer, b text);
create function f() returns bigint begin atomic select count(*) from t where a > 0; end;
create function g() returns bigint begin atomic select f(); end;
-- new
create table t (a bigint, b text);
create function f() returns bigint begin atomic select count(*) from t where a > 1; end;
create function g() returns bigint begin atomic select f() + 1; end;
-- pair: table function
-- old
create function f() returns table (a integer, b text) language sql as $$ select 1, 'x' $$;
-- new
create function f() returns table (a integer, b text, c date) language sql rows 5 as $$ select 1, 'x', null::date $$;
-- pair: table that uses a function that uses the table
-- old
create table z (a integer);
-- new
create table z (a integer);
create table t (a integer, b integer);
create function f(t) returns integer language sql immutable as 'select 1';
create function n() returns bigint begin atomic select count(*) from t; end;
alter table t alter b set default n();
alter table t add constraint c check (f(t) > 0);
-- pair: aggregate
-- old
create function step(bigint, integer) returns bigint language sql immutable as 'select 1::bigint';
create aggregate total(integer) (sfunc = step, stype = bigint);
create view v as select total(1) as x;
-- new
create function step(bigint, integer) returns bigint language sql immutable as 'select 1::bigint';
create aggregate total(integer) (sfunc = step, stype = bigint, initcond = '5');
comment on aggregate total(integer) is 'sum';
create view v as select total(1) as x;
-- pair: procedure becomes function
-- old
create procedure f(a integer) language sql as 'select 1';
-- new
create function f(a integer) returns integer language sql as 'select 1';
-- pair: overloads
-- old
create function f(a integer) returns integer language sql as 'select 1';
create function f(a text) returns integer language sql as 'select 1';
create view v as select f('x'::text);
-- new
create function f(a integer) returns integer language sql as 'select 1';
create function f(a text, b integer default 1) returns integer language sql as 'select 1';
create view v as select f('x'::text);
-- pair: quoted names
-- old
create schema "Mein Schema";
create function "Mein Schema"."F (x)"("A b" integer) returns integer language sql as 'select 1';
-- new
create schema "Mein Schema";
create type "Mein Schema"."T, y" as enum ('a');
create function "Mein Schema"."F (x)"("A b" "Mein Schema"."T, y") returns integer language sql as 'select 2';
comment on function "Mein Schema"."F (x)"("Mein Schema"."T, y") is 'quoted';
