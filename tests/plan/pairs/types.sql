-- Enums, domains, composite types, ranges, sequences.
-- pair: enum grows
-- old
create type e as enum ('a', 'c');
create table t (x e default 'a');
-- new
create type e as enum ('a', 'b', 'c', 'd');
create table t (x e default 'a');
-- pair: enum grows and is used at once
-- old
create type e as enum ('a', 'c');
create table t (x e default 'a');
-- new
create type e as enum ('a', 'b', 'c');
create table t (x e default 'b', constraint k check (x <> 'b'));
-- pair: enum loses a label
-- old
create type e as enum ('a', 'b', 'c');
create table t (x e default 'a' not null, y e[]);
create index i on t (x) where x = 'a';
create view v as select x from t;
create function f(e) returns integer language sql as 'select 1';
-- new
create type e as enum ('a', 'c');
create table t (x e default 'a' not null, y e[]);
create index i on t (x) where x = 'a';
create view v as select x from t;
create function f(e) returns integer language sql as 'select 1';
-- pair: enum reordered with comment and rights
-- old
create type e as enum ('a', 'b');
comment on type e is 'before';
-- new
create type e as enum ('b', 'a');
comment on type e is 'after';
revoke usage on type e from public;
grant usage on type e to law_reader;
-- pair: column from enum to text
-- old
create type e as enum ('a', 'b');
create table t (x e default 'a');
-- new
create table t (x text default 'a');
-- pair: domain fields
-- old
create domain d as text default 'x';
create table t (a d);
-- new
create domain d as text default 'y' not null;
create table t (a d);
-- pair: domain over another type
-- old
create domain d as integer check (value > 0);
create table t (a d, b d[]);
create view v as select a from t;
-- new
create domain d as bigint check (value > 0);
create table t (a d, b d[]);
create view v as select a from t;
-- pair: domain over domain
-- old
create domain d as integer;
create domain dd as d;
create table t (a dd);
-- new
create domain d as bigint;
create domain dd as d check (value < 5);
create table t (a dd);
-- pair: domain check by a function
-- old
create function f(integer) returns boolean language sql immutable as 'select true';
create domain d as integer constraint c check (f(value));
-- new
create function f(x integer) returns boolean language sql immutable as 'select false';
create domain d as integer constraint c check (f(value));
-- pair: composite attributes
-- old
create type c as (a integer, b text);
-- new
create type c as (a bigint, c text collate "C");
-- pair: composite attributes come and go
-- old
create type c as (a integer, b text);
create table t (x c);
-- new
create type c2 as enum ('x');
create type c as (a integer, d date, e c2);
create table t (x c);
-- pair: composite in use changes type
-- old
create type c as (a integer, b text);
create table t (x c, y c[]);
create view v as select (x).a from t;
-- new
create type c as (a bigint, b text);
create table t (x c, y c[]);
create view v as select (x).a from t;
-- pair: composite comment
-- old
create type c as (a integer);
comment on column c.a is 'one';
-- new
create type c as (a integer);
comment on column c.a is 'two';
comment on type c is 'type';
-- pair: range
-- old
create type r as range (subtype = float8);
create table t (a r);
-- new
create type r as range (subtype = float8, subtype_diff = float8mi);
create table t (a r);
-- pair: types come in the right order
-- old
create table z (a integer);
-- new
create table z (a integer);
create type zz as enum ('x');
create domain yy as zz;
create type xx as (a yy, b zz[]);
create type ww as range (subtype = yy);
create table aa (a xx[], b ww, c yy default 'x');
create function bb(xx) returns ww language sql as 'select null::ww';
-- pair: type becomes domain
-- old
create type d as enum ('a');
create table t (a integer);
-- new
create domain d as text;
create table t (a integer, b d);
-- pair: sequence
-- old
create sequence s;
create sequence gone;
-- new
create sequence s as integer increment 5 minvalue 10 maxvalue 1000 start 20 cache 3 cycle;
comment on sequence s is 'fives';
create sequence come as smallint increment -1;
grant usage on sequence come to law_reader;
-- pair: sequence narrower and wider
-- old
create sequence s as integer;
create sequence w as bigint maxvalue 500;
-- new
create sequence s as smallint minvalue 5 start 7;
create sequence w as bigint;
-- pair: sequence behind defaults
-- old
create table t (a integer);
-- new
create sequence s;
create table t (a integer default nextval('s'));
create table u (a integer default nextval('s'));
-- pair: sequence changes hands
-- old
create sequence s;
create table t (a integer default nextval('s'));
alter sequence s owned by t.a;
create table u (a integer);
-- new
create sequence s;
create table t (a integer);
create table u (a integer default nextval('s'));
alter sequence s owned by u.a;
-- pair: sequence unlogged
-- old
create sequence s;
-- new
create unlogged sequence s;
-- pair: owner's table goes, sequence stays
-- old
create sequence s;
create table t (a integer default nextval('s'));
alter sequence s owned by t.a;
-- new
create sequence s;
-- pair: check of domain beside an array
-- old
create domain d as integer check (value > 0);
create table t (a d, b d[]);
-- new
create domain d as integer check (value > 1);
create table t (a d, b d[]);
-- pair: check of a domain in a composite in an array
-- old
create domain d as integer;
create type c as (x d);
create table t (a c[]);
-- new
create domain d as integer check (value > 1);
create type c as (x d);
create table t (a c[]);
-- pair: not null of domain in a range
-- old
create domain d as integer;
create type r as range (subtype = d);
create table t (a r);
-- new
create domain d as integer not null;
create type r as range (subtype = d);
create table t (a r);
-- pair: validate domain beside array
-- old
create domain d as integer;
create table t (a d, b d[]);
alter domain d add constraint k check (value > 0) not valid;
-- new
create domain d as integer;
alter domain d add constraint k check (value > 0);
create table t (a d, b d[]);
-- pair: not valid domain check beside array
-- old
create domain d as integer;
create table t (a d, b d[]);
-- new
create domain d as integer;
create table t (a d, b d[]);
alter domain d add constraint k check (value > 0) not valid;
