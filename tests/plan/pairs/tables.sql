-- Tables as a whole, inheritance, partitions.
-- pair: come and go
-- old
create table t (a integer primary key, b text not null);
comment on table t is 'first';
-- new
create table u (a bigserial primary key, b text unique check (b <> ''), c integer references u);
create index on u (c);
grant select on u to law_reader;
comment on table u is 'second';
comment on column u.b is 'text';
-- pair: unlogged
-- old
create table t (a serial);
create unlogged table u (a integer);
-- new
create unlogged table t (a serial);
create table u (a integer);
-- pair: options
-- old
create table t (a integer) with (fillfactor = 70);
-- new
create table t (a text) with (fillfactor = 80, autovacuum_enabled = false, toast.autovacuum_enabled = false);
-- pair: row security
-- old
create table t (a integer);
create table u (a integer);
alter table u enable row level security;
-- new
create table t (a integer);
alter table t enable row level security;
alter table t force row level security;
create table u (a integer);
-- pair: owner and privileges
-- old
create table t (a integer);
grant select, insert on t to law_reader;
-- new
create table t (a integer);
grant select on t to law_reader with grant option;
grant delete on t to public;
revoke truncate on t from law_owner;
-- pair: another schema has its twin
-- old
create schema one;
create table one.t (a integer);
-- new
create schema two;
create table two.t (a integer, b text);
create view two.v as select * from two.t;
-- pair: table becomes view
-- old
create table t (a integer);
create table other (a integer);
create view v as select a from t;
-- new
create table other (a integer);
create view t as select a from other;
create view v as select a from t;
-- pair: inheritance
-- old
create table p (a integer, b text);
-- new
create table p (a integer, b text);
create table c (x date) inherits (p);
create index on c (x);
-- pair: column of a parent
-- old
create table p (a integer, b text);
create table c (x date) inherits (p);
-- new
create table p (a bigint, b text default 'x', n date);
create table c (x date) inherits (p);
-- pair: check of a parent
-- old
create table p (a integer, constraint c check (a > 0));
create table c (x date) inherits (p);
-- new
create table p (a integer, constraint c check (a > 1), constraint d check (a < 9));
create table c (x date) inherits (p);
-- pair: default of an heir
-- old
create table p (a integer default 1, b integer default 1);
create table c () inherits (p);
-- new
create table p (a integer default 2, b integer default 1);
create table c () inherits (p);
alter table c alter b set default 7;
-- pair: partitioned table comes
-- old
create table z (a integer);
-- new
create table z (a integer);
create table p (a integer, at date not null, primary key (a, at)) partition by range (at);
create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01');
create table p2 partition of p default;
create index p_at on p (at);
-- pair: partition comes
-- old
create table p (a integer, at date not null, primary key (a, at)) partition by range (at);
create index p_at on p (at);
create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01');
-- new
create table p (a integer, at date not null, primary key (a, at)) partition by range (at);
create index p_at on p (at);
create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01');
create table p2 partition of p for values from ('2027-01-01') to ('2028-01-01');
-- pair: partition bound
-- old
create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1, 2);
-- new
create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1, 2, 3);
-- pair: partition is detached
-- old
create table p (a integer primary key) partition by list (a);
create table p1 partition of p for values in (1, 2);
-- new
create table p (a integer primary key) partition by list (a);
create table p1 (a integer primary key);
-- pair: column of a partitioned table
-- old
create table p (a integer, b text) partition by list (a);
create table p1 partition of p for values in (1, 2);
-- new
create table p (a integer, b varchar(30) not null default 'x', c date) partition by list (a);
create table p1 partition of p for values in (1, 2);
-- pair: indexes of a partitioned table
-- old
create table p (a integer, b text) partition by list (a);
create table p1 partition of p for values in (1, 2);
create index one on p (b);
-- new
create table p (a integer, b text, primary key (a)) partition by list (a);
create table p1 partition of p for values in (1, 2);
create index two on p (b, a);
comment on index two is 'new';
-- pair: an index of a partitioned table changes
-- old
create table p (a integer, b text) partition by list (a);
create table p1 partition of p for values in (1, 2);
create table p2 partition of p for values in (3) partition by list (b);
create table p2x partition of p2 for values in ('x');
create index one on p (b);
-- new
create table p (a integer, b text) partition by list (a);
create table p1 partition of p for values in (1, 2);
create table p2 partition of p for values in (3) partition by list (b);
create table p2x partition of p2 for values in ('x');
create index one on p (b desc);
-- pair: foreign keys of and to a partitioned table
-- old
create table o (a integer primary key);
create table p (a integer primary key, b integer) partition by list (a);
create table p1 partition of p for values in (1, 2);
create table q (a integer);
-- new
create table o (a integer primary key);
create table p (a integer primary key, b integer references o) partition by list (a);
create table p1 partition of p for values in (1, 2);
create table q (a integer references p);
-- pair: trigger of a partitioned table
-- old
create function f() returns trigger language plpgsql as 'begin return new; end';
create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1, 2);
create trigger tr after insert on p for each row execute function f();
-- new
create function f() returns trigger language plpgsql as 'begin return new; end';
create table p (a integer) partition by list (a);
create table p1 partition of p for values in (1, 2);
create trigger tr after insert or update on p for each row execute function f();
-- pair: subpartitions
-- old
create table p (a integer, b integer) partition by range (a);
create table p1 partition of p for values from (1) to (10);
-- new
create table p (a integer, b integer) partition by range (a);
create table p1 partition of p for values from (1) to (10);
create table p2 partition of p for values from (10) to (20) partition by hash (b);
create table p2a partition of p2 for values with (modulus 2, remainder 0);
create table p2b partition of p2 for values with (modulus 2, remainder 1);
create unique index on p (a, b);
-- pair: typed table
-- old
create type row_of as (a integer, b text);
create table t of row_of (primary key (a));
-- new
create type row_of as (a integer, b text, c date);
create table t of row_of (primary key (a));
-- pair: partitions of a table in use come and go
create table o (id integer primary key);
create table p (id integer not null references o, at date not null, kind text, constraint p_pk primary key (id, at)) partition by range (at);
create index p_kind on p (kind, lower(kind));
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger tr after insert on p for each row execute function touch();
create table last partition of p for values from ('2024-01-01') to ('2025-01-01');
-- old
-- new
create table one partition of p for values from ('2025-01-01') to ('2026-01-01');
create table rest partition of p default partition by range (at);
create table deep partition of rest for values from ('2030-01-01') to ('2031-01-01');
-- pair: a partition outlives the partition it stood in
create table p (id integer not null, at date not null check (at > '2000-01-01'), kind text, constraint p_pk primary key (id, at))
  partition by range (at);
create index p_kind on p (kind, lower(kind));
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger tr after insert on p for each row execute function touch();
-- old
create table rest partition of p default partition by range (at);
create table deep partition of rest for values from ('2030-01-01') to ('2031-01-01');
-- new
create table deep (id integer not null, at date not null check (at > '2000-01-01'), kind text);
-- pair: a partition joins while its parent gains and loses what it hands down
create table o (id integer primary key);
-- old
create table p (id integer not null, at date, kind text check (kind <> ''), n integer not null references o) partition by range (at);
create table one (id integer, at date, kind text, n integer);
-- new
create table p (id integer, at date not null, kind text, n integer) partition by range (at);
create index p_n on p (n);
create table one partition of p for values from ('2025-01-01') to ('2026-01-01');
-- pair: partition dropped while a column and index
-- old
create table p (a integer, b text) partition by list (a);
create table p1 partition of p for values in (1);
create table p2 partition of p for values in (2);
create index on p (b);
-- new
create table p (a integer, b text, c date not null default now()) partition by list (a);
create table p1 partition of p for values in (1);
create index on p (c);
-- pair: partition dropped while a column changes type
-- old
create table p (a integer, b text, c date) partition by list (a);
create table p1 partition of p for values in (1);
create table p2 partition of p for values in (2);
-- new
create table p (a integer, b text, c timestamptz) partition by list (a);
create table p1 partition of p for values in (1);
