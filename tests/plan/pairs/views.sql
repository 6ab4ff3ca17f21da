-- Views and materialized views, and what stands on them.
-- pair: come and go
-- old
create table t (a integer, b text);
create view v as select a from t;
-- new
create table t (a integer, b text);
create view w as select b from t;
comment on view w is 'b';
comment on column w.b is 'the text';
grant select on w to law_reader;
-- pair: definition in place
-- old
create table t (a integer, b text);
create view v as select a from t;
create view w as select a from v;
-- new
create table t (a integer, b text);
create view v as select a from t where a > 0;
create view w as select a from v;
-- pair: column at the end
-- old
create table t (a integer, b text);
create view v as select a from t;
grant select on v to law_reader;
-- new
create table t (a integer, b text, c date);
create view v as select a, b, c from t;
grant select on v to law_reader;
-- pair: columns change under another view
-- old
create table t (a integer, b text);
create view v as select a, b from t;
create view w as select a from v;
create view x as select a from w;
comment on view x is 'far away';
grant select on x to law_reader;
-- new
create table t (a integer, b text);
create view v as select b, a from t;
create view w as select a from v;
create view x as select a from w;
comment on view x is 'far away';
grant select on x to law_reader;
-- pair: options
-- old
create table t (a integer);
create view v with (security_barrier) as select a from t where a > 0;
-- new
create table t (a integer);
create view v with (security_invoker) as select a from t where a > 0 with cascaded check option;
-- pair: type of a column below
-- old
create table t (a integer, b text);
create view v as select a, a * 2 as double from t;
create materialized view m as select double from v;
create index m_double on m (double);
comment on materialized view m is 'kept';
-- new
create table t (a bigint, b text);
create view v as select a, a * 2 as double from t;
create materialized view m as select double from v;
create index m_double on m (double);
comment on materialized view m is 'kept';
-- pair: column goes that a view used
-- old
create table t (a integer, b text);
create view v as select a, b from t;
-- new
create table t (a integer);
create view v as select a, null::text as b from t;
-- pair: materialized definition
-- old
create table t (a integer, b text);
create materialized view m as select a from t with no data;
create unique index m_a on m (a);
-- new
create table t (a integer, b text);
create materialized view m as select a, b from t with no data;
create unique index m_a on m (a);
-- pair: view becomes materialized
-- old
create table t (a integer);
create view v as select a from t;
create view w as select a from v;
-- new
create table t (a integer);
create materialized view v as select a from t;
create view w as select a from v;
-- pair: default and comment of a view's column
-- old
create table t (a integer, b text);
create view v as select a, b from t;
alter view v alter b set default 'x';
-- new
create table t (a integer, b text);
create view v as select a, b from t;
alter view v alter a set default 5;
comment on column v.a is 'five';
grant select (a) on v to law_reader;
-- pair: trigger of a view
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer);
create view v as select a from t;
-- new
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer);
create view v as select a from t;
create trigger tr instead of insert on v for each row execute function f();
-- pair: replaced view keeps its trigger and rule
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer, b text);
create view v as select a from t;
create trigger tr instead of insert on v for each row execute function f();
create rule r as on delete to v do instead nothing;
-- new
create function f() returns trigger language plpgsql as 'begin return new; end';
create table t (a integer, b text);
create view v as select b, a from t;
create trigger tr instead of insert on v for each row execute function f();
create rule r as on delete to v do instead nothing;
-- pair: function in a view
-- old
create function f(integer) returns integer language sql immutable as 'select 1';
create view v as select f(1) as x;
-- new
create function f(integer) returns bigint language sql immutable as 'select 1::bigint';
create view v as select f(1) as x;
-- pair: whole row
-- old
create table t (a integer);
create view v as select t from t;
create function f(t) returns integer language sql as 'select 1';
-- new
create table t (a integer, b text);
create view v as select t from t;
create function f(t) returns bigint language sql as 'select 1::bigint';
-- pair: recursive and with a key
-- old
create table t (a integer primary key, b text);
create view v as select a, b, count(*) as n from t group by a;
-- new
create table t (a integer primary key, b text, c text);
create recursive view v (n) as values (1) union all select n + 1 from v where n < 5;
