-- Indexes of tables and materialized views.
-- pair: comes and goes
-- old
create table t (a integer, b text);
create index one on t (a);
-- new
create table t (a integer, b text);
create index two on t (b desc nulls last, a);
comment on index two is 'second';
-- pair: keys
-- old
create table t (a integer, b text);
create index one on t (a);
-- new
create table t (a integer, b text);
create index one on t (a, b);
-- pair: unique and predicate
-- old
create table t (a integer, b text);
create index one on t (a) where b is null;
create unique index two on t (a);
-- new
create table t (a integer, b text);
create unique index one on t (a) where b is not null;
create unique index two on t (a) nulls not distinct;
-- pair: expression and operator class
-- old
create table t (a text, b jsonb);
create index one on t (lower(a));
create index two on t using gin (b);
-- new
create table t (a text, b jsonb);
create index one on t (upper(a) text_pattern_ops) include (a);
create index two on t using gin (b jsonb_path_ops) with (fastupdate = off);
-- pair: method and options
-- old
create table t (a integer);
create index one on t using hash (a);
create index two on t (a) with (fillfactor = 50);
-- new
create table t (a integer);
create index one on t using brin (a);
create index two on t (a) with (fillfactor = 60, deduplicate_items = off);
-- pair: replica identity
-- old
create table t (a integer not null, b integer not null);
create unique index one on t (a);
create unique index two on t (b);
alter table t replica identity using index one;
-- new
create table t (a integer not null, b integer not null);
create unique index one on t (a);
create unique index two on t (b);
alter table t replica identity using index two;
-- pair: replica identity by a new index
-- old
create table t (a integer not null);
-- new
create table t (a integer not null);
create unique index one on t (a);
alter table t replica identity using index one;
-- pair: replica identity full and nothing
-- old
create table t (a integer);
create table u (a integer);
alter table t replica identity full;
-- new
create table t (a integer);
create table u (a integer);
alter table u replica identity nothing;
-- pair: cluster
-- old
create table t (a integer, b integer);
create index one on t (a);
create index two on t (b);
alter table t cluster on one;
-- new
create table t (a integer, b integer);
create index one on t (a);
create index two on t (b);
alter table t cluster on two;
-- pair: moves to another table
-- old
create table t (a integer);
create table u (a integer);
create index one on t (a);
-- new
create table t (a integer);
create table u (a integer);
create index one on u (a);
-- pair: of a new table under the name of an old one
-- old
create table t (a integer);
create index one on t (a);
-- new
create table u (b text);
create index one on u (b);
-- pair: of a materialized view
-- old
create table t (a integer, b text);
create materialized view m as select a, b from t;
create index m_a on m (a);
-- new
create table t (a integer, b text);
create materialized view m as select a, b from t;
create unique index m_a on m (a);
create index m_b on m (b);
-- pair: over a column that changes type
-- old
create table t (a integer, b text);
create index one on t (a) where b = 'x';
create index two on t (lower(b));
create statistics s on a, b from t;
-- new
create table t (a bigint, b varchar(10));
create index one on t (a) where b = 'x';
create index two on t (lower(b));
create statistics s on a, b from t;
-- pair: expression over a column that is made anew
-- old
create table t (a integer, g integer generated always as (a + 1) stored);
create index one on t ((g * 2)) where g > 0;
create view v as select g from t;
-- new
create table t (a integer, g integer generated always as (a + 2) stored);
create index one on t ((g * 2)) where g > 0;
create view v as select g from t;
-- pair: statistics
-- old
create table t (a integer, b text, c date);
create statistics s on a, b from t;
-- new
create table t (a integer, b text, c date);
create statistics s (mcv, ndistinct) on a, c, (lower(b)) from t;
alter statistics s set statistics 50;
comment on statistics s is 'more';
create statistics other on (a + 1) from t;
-- pair: statistics of an expression
-- old
create table t (a text);
create index one on t (lower(a));
-- new
create table t (a text);
create index one on t (lower(a));
alter index one alter column 1 set statistics 300;
