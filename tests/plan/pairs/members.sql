-- Triggers, row policies, rules, schemas, privileges, everything else.
-- pair: trigger
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer, b text);
create trigger one before insert on t for each row execute function f();
create trigger two after update on t execute function f();
-- new
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer, b text);
create trigger one before insert or update of a on t for each row when (new.a > 0) execute function f('x', 'it''s');
create trigger three after delete on t referencing old table as gone for each statement execute function f();
comment on trigger three on t is 'third';
-- pair: trigger enabled
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer);
create trigger one before insert on t for each row execute function f();
create trigger two before insert on t for each row execute function f();
alter table t disable trigger two;
-- new
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer);
create trigger one before insert on t for each row execute function f();
create trigger two before insert on t for each row execute function f();
alter table t enable always trigger one;
-- pair: trigger over a column that changes type
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer, b text);
create trigger one before update of a on t for each row when (new.a > 0) execute function f();
-- new
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a bigint, b text);
create trigger one before update of a on t for each row when (new.a > 0) execute function f();
-- pair: row policy
-- old
create table t (a integer, b text);
create policy p on t using (a > 0);
create policy q on t for select to law_reader using (true);
-- new
create table t (a integer, b text);
create policy p on t to law_reader, "Law Writer" using (a > 1) with check (b = current_user);
create policy q on t as restrictive for update to law_reader using (true);
comment on policy q on t is 'restrictive';
-- pair: row policy over a column that changes type
-- old
create table t (a integer, b text);
create table u (x integer);
create policy p on u using (exists (select from t where t.a = u.x));
-- new
create table t (a bigint, b text);
create table u (x integer);
create policy p on u using (exists (select from t where t.a = u.x));
-- pair: rule
-- old
create table t (a integer);
create rule r as on delete to t do instead nothing;
-- new
create table t (a integer);
create table log (a integer);
create rule r as on delete to t do also insert into log values (old.a);
comment on rule r on t is 'logs';
create rule s as on update to t do instead nothing;
alter table t disable rule s;
-- pair: schemas
-- old
create schema one;
create table one.t (a integer);
comment on schema one is 'one';
-- new
create schema two;
comment on schema two is 'two';
grant usage on schema two to law_reader;
create table two.t (a integer);
-- pair: schema rights
-- old
create schema one;
grant usage on schema one to public;
-- new
create schema one;
grant create on schema one to law_reader with grant option;
-- pair: default privileges
-- old
alter default privileges grant select on tables to law_reader;
create table t (a integer);
-- new
alter default privileges grant select, insert on tables to law_reader;
alter default privileges revoke execute on functions from public;
create table t (a integer);
create function f() returns integer language sql as 'select 1';
create table u (a integer);
-- pair: default privileges stay while a table without them comes
-- old
create schema s;
alter default privileges in schema s grant select on tables to law_reader;
-- new
create schema s;
create table s.t (a integer);
create view s.v as select a from s.t;
create sequence s.q;
alter default privileges in schema s grant select on tables to law_reader;
-- pair: publication
-- old
create table t (a integer primary key, b text);
create table u (a integer primary key);
create publication p for table t;
-- new
create table t (a integer primary key, b text);
create table u (a integer primary key);
create publication p for table t (a) where (a > 5), u with (publish = 'insert, update');
comment on publication p is 'some';
-- pair: published column changes type
-- old
create table t (a integer primary key, b integer);
create publication p for table t where (a > 5);
-- new
create table t (a bigint primary key, b integer);
create publication p for table t where (a > 5);
-- pair: published column goes
-- old
create table t (a integer primary key, b integer);
create publication p for table t (a, b);
-- new
create table t (a integer primary key);
create publication p for table t (a);
-- pair: collation
-- old
create collation c from "C";
create table t (a text collate c);
-- new
create collation c from "C";
comment on collation c is 'bytes';
create collation d (provider = libc, locale = 'POSIX');
create table t (a text collate d);
-- pair: cast
-- old
create type e as enum ('a');
create function to_e(integer) returns e language sql immutable as $$ select 'a'::e $$;
create cast (integer as e) with function to_e(integer);
-- new
create type e as enum ('a');
create function to_e(integer) returns e language sql immutable as $$ select 'a'::e $$;
create cast (integer as e) with function to_e(integer) as assignment;
create view v as select 1::e as x;
-- pair: operator
-- old
create function same(integer, integer) returns boolean language sql immutable as 'select true';
create operator === (leftarg = integer, rightarg = integer, function = same);
create view v as select 1 === 2 as x;
-- new
create function same(integer, integer) returns boolean language sql immutable as 'select true';
create operator === (leftarg = integer, rightarg = integer, function = same, commutator = ===);
comment on operator === (integer, integer) is 'same';
create view v as select 1 === 2 as x;
-- pair: text search
-- old
create text search configuration c (copy = simple);
create table t (a text);
create index i on t using gin (to_tsvector('c', a));
-- new
create text search dictionary d (template = simple, stopwords = 'english');
create text search configuration c (copy = english);
alter text search configuration c alter mapping for word with d;
create table t (a text);
create index i on t using gin (to_tsvector('c', a));
-- pair: event trigger (superuser)
-- old
create function f() returns event_trigger language plpgsql as 'begin raise notice ''old''; end';
create event trigger e on ddl_command_end execute function f();
-- new
create function f() returns event_trigger language plpgsql as 'begin raise notice ''new''; end';
create event trigger e on ddl_command_end when tag in ('CREATE TABLE') execute function f();
create event trigger g on sql_drop execute function f();
alter event trigger g disable;
create table t (a integer);
-- pair: foreign tables (superuser)
-- old
create foreign data wrapper w;
create server s foreign data wrapper w;
create foreign table t (a integer) server s;
-- new
create foreign data wrapper w;
create server s version '2' foreign data wrapper w options (host 'x');
create server s2 foreign data wrapper w;
create foreign table t (a integer options (column_name 'A') not null, b text) server s options (table_name 'T');
create foreign table u (a integer) server s2;
-- pair: extension (superuser)
-- old
create extension pg_trgm;
create table t (a text);
create index i on t using gin (a gin_trgm_ops);
-- new
create extension citext;
create table t (a citext);
-- pair: operator class (superuser)
-- old
create table t (a integer);
-- new
create operator family fam using btree;
create operator class rev for type integer using btree family fam as
  operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 btint4cmp(integer, integer);
create table t (a integer);
create index i on t (a rev);
-- pair: event trigger, publication and default privileges of everything (superuser)
-- old
create publication everything for all tables;
-- new
create schema app;
create publication by_schema for tables in schema app;
create table app.t (a integer primary key);
-- pair: privileges of columns under default privileges of tables
-- old
create schema s;
alter default privileges in schema s grant select, update on tables to law_reader;
-- new
create schema s;
alter default privileges in schema s grant select, update on tables to law_reader;
create table s.t (a integer, b text);
revoke all on s.t from law_reader;
grant select (a), insert (b) on s.t to law_reader;
create view s.v as select a, b from s.t;
revoke all on s.v from law_reader;
grant select (b) on s.v to law_reader;
