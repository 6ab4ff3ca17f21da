-- What needs itself: functions, views, defaults and columns in circles.
-- pair: sql functions in a circle come
-- old
create function f(n integer) returns integer language sql as 'select 1';
create function g(n integer) returns integer language sql as 'select 1';
-- new
create function g(n integer) returns integer language sql as 'select 1';
create function f(n integer) returns integer begin atomic select case when n > 0 then g(n - 1) else 0 end; end;
create or replace function g(n integer) returns integer begin atomic select case when n > 0 then f(n - 1) else 0 end; end;
-- pair: sql functions in a circle from nothing
-- old
create table z (a integer);
-- new
create table z (a integer);
create function g(n integer) returns integer language sql as 'select 1';
create function f(n integer) returns integer begin atomic select case when n > 0 then g(n - 1) else 0 end; end;
create or replace function g(n integer) returns integer begin atomic select case when n > 0 then f(n - 1) else 0 end; end;
-- pair: sql functions in a circle change
-- old
create function g(n integer) returns integer language sql as 'select 1';
create function f(n integer) returns integer begin atomic select case when n > 0 then g(n - 1) else 0 end; end;
create or replace function g(n integer) returns integer begin atomic select case when n > 0 then f(n - 1) else 0 end; end;
-- new
create function g(n integer) returns bigint language sql as 'select 1';
create function f(n integer) returns bigint begin atomic select case when n > 0 then g(n - 1) else 0 end; end;
create or replace function g(n integer) returns bigint begin atomic select case when n > 0 then f(n - 1) else 1 end; end;
-- pair: self-recursive
-- old
create table z (a integer);
-- new
create table z (a integer);
create function g(n integer) returns integer language sql as 'select 1';
create or replace function g(n integer) returns integer begin atomic select case when n > 0 then g(n - 1) else 0 end; end;
-- pair: default function whose body uses the table
-- old
create table z (a integer);
-- new
create table z (a integer);
create table t (a integer, b bigint);
create function n() returns bigint begin atomic select count(*) from t; end;
alter table t alter b set default n();
-- pair: default function whose body uses the table changes
-- old
create table t (a integer, b bigint);
create function n() returns bigint begin atomic select count(*) from t; end;
alter table t alter b set default n();
-- new
create table t (a bigint, b bigint);
create function n() returns bigint begin atomic select count(*) + 1 from t where a > 0; end;
alter table t alter b set default n();
-- pair: two tables with defaults of functions that read the other
-- old
create table z (a integer);
-- new
create table z (a integer);
create table t (a bigint, b bigint);
create table u (a bigint, b bigint);
create function nt() returns bigint begin atomic select count(*) from t; end;
create function nu() returns bigint begin atomic select count(*) from u; end;
alter table t alter b set default nu();
alter table u alter b set default nt();
create view w as select nt() as x, nu() as y, t.b from t;
-- pair: column added with default function reading the table
-- old
create table t (a integer);
-- new
create table t (a integer);
create function n() returns bigint begin atomic select count(*) from t; end;
alter table t add b bigint default n();
-- pair: column type changes under function that is default
-- old
create table t (a integer, b bigint);
create function n() returns bigint begin atomic select max(a) from t; end;
alter table t alter b set default n();
-- new
create table t (a bigint, b bigint);
create function n() returns bigint begin atomic select max(a) from t; end;
alter table t alter b set default n();
-- pair: view and function in a circle
-- old
create table t (a integer);
-- new
create table t (a integer);
create view v as select 1::bigint as x;
create function f() returns bigint begin atomic select max(x) from v; end;
create or replace view v as select f() as x from t;
-- pair: view and function in a circle change
-- old
create table t (a integer);
create view v as select 1::bigint as x;
create function f() returns bigint begin atomic select max(x) from v; end;
create or replace view v as select f() as x from t;
-- new
create table t (a integer);
create view v as select 1::bigint as x, 2 as y;
create function f() returns bigint begin atomic select max(x) + 1 from v; end;
create or replace view v as select f() as x, 2 as y from t;
-- pair: views in a circle with a function type
-- old
create table t (a integer);
-- new
create table t (a integer);
create view v as select a from t;
create function f(v) returns integer language sql immutable as 'select 1';
create view w as select f(v) as x from v;
-- pair: generated column with a replaced function
-- old
create function f(a integer) returns integer language sql immutable as 'select a';
create table t (a integer, g integer generated always as (f(a)) stored, h text default 'x');
create index i on t (g);
create view v as select g from t;
-- new
create function f(a integer) returns bigint language sql immutable as 'select a::bigint';
create table t (a integer, g bigint generated always as (f(a)) stored, h text default 'x');
create index i on t (g);
create view v as select g from t;
-- pair: generated column with a replaced function, same type
-- old
create function f(a integer) returns integer language sql immutable as 'select a';
create table t (a integer, g integer generated always as (f(a)) stored, h text default 'x', constraint c check (g > 0));
create index i on t (g);
-- new
create function f(a integer) returns bigint language sql immutable as 'select a::bigint';
create table t (a integer, g integer generated always as (f(a)) stored, h text default 'x', constraint c check (g > 0));
create index i on t (g);
-- pair: generated column over a function of the row
-- old
create table z (a integer);
-- new
create table z (a integer);
create type e as enum ('a');
create function f(e) returns integer language sql immutable as 'select 1';
create table t (a e, g integer generated always as (f(a)) stored);
-- pair: generated enum
-- old
create type e as enum ('a', 'b');
create function f(e) returns integer language sql immutable as 'select 1';
create table t (a e, g integer generated always as (f(a)) stored);
-- new
create type e as enum ('a');
create function f(e) returns integer language sql immutable as 'select 1';
create table t (a e, g integer generated always as (f(a)) stored);
