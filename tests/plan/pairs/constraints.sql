-- Constraints of tables and domains.
-- pair: primary key comes
-- old
create table t (a integer);
-- new
create table t (a integer primary key);
-- pair: primary key changes
-- old
create table t (a integer not null, b integer not null, constraint t_pkey primary key (a));
-- new
create table t (a integer not null, b integer not null, constraint t_pkey primary key (a, b));
-- pair: primary key under a foreign key changes
-- old
create table t (a integer primary key, b text);
create table u (a integer references t);
-- new
create table t (a integer, b text, primary key (a) deferrable);
create table u (a integer);
-- pair: key replaced by unique under a foreign key
-- old
create table t (a integer not null, constraint k primary key (a));
create table u (a integer, constraint u_t foreign key (a) references t (a));
-- new
create table t (a integer not null, constraint k unique (a));
create table u (a integer, constraint u_t foreign key (a) references t (a));
-- pair: unique
-- old
create table t (a integer, b text, constraint one unique (a), constraint two unique (b));
-- new
create table t (a integer, b text, constraint one unique (a, b), constraint two unique nulls not distinct (b));
-- pair: unique with a comment and options
-- old
create table t (a integer, constraint one unique (a) with (fillfactor = 70));
comment on index one is 'index';
-- new
create table t (a integer, constraint one unique (a) with (fillfactor = 80));
comment on constraint one on t is 'constraint';
-- pair: unique deferrable
-- old
create table t (a integer, constraint one unique (a));
-- new
create table t (a integer, constraint one unique (a) deferrable initially deferred);
-- pair: unique including
-- old
create table t (a integer, b text, constraint one unique (a));
-- new
create table t (a integer, b text, constraint one unique (a) include (b));
-- pair: index becomes unique constraint
-- old
create table t (a integer);
create unique index one on t (a);
-- new
create table t (a integer, constraint one unique (a));
-- pair: check
-- old
create table t (a integer, b integer check (b > 0), constraint c check (a > 1));
-- new
create table t (a integer, b integer, constraint c check (a > 2), constraint d check (a < b));
comment on constraint d on t is 'less';
-- pair: check not valid
-- old
create table t (a integer);
alter table t add constraint c check (a > 0) not valid;
alter table t add constraint d check (a < 9);
-- new
create table t (a integer);
alter table t add constraint c check (a > 0);
alter table t add constraint d check (a < 9) not valid;
-- pair: check not enforced (since 18)
-- old
create table t (a integer, constraint c check (a > 0) not enforced);
-- new
create table t (a integer, constraint c check (a > 0));
-- pair: check on a column that changes type
-- old
create table t (a text, constraint c check (length(a) > 2));
-- new
create table t (a integer, constraint c check (a > 2));
-- pair: foreign key
-- old
create table t (a integer primary key, b integer unique);
create table u (a integer constraint f references t (a));
-- new
create table t (a integer primary key, b integer unique);
create table u (a integer constraint f references t (b) on delete cascade on update set null);
-- pair: foreign key deferrable
-- old
create table t (a integer primary key);
create table u (a integer constraint f references t);
-- new
create table t (a integer primary key);
create table u (a integer constraint f references t deferrable initially deferred);
comment on constraint f on u is 'late';
-- pair: foreign key not valid
-- old
create table t (a integer primary key);
create table u (a integer);
alter table u add constraint f foreign key (a) references t not valid;
-- new
create table t (a integer primary key);
create table u (a integer);
alter table u add constraint f foreign key (a) references t;
-- pair: foreign key whose both ends change type
-- old
create table t (a integer primary key);
create table u (a integer constraint f references t);
-- new
create table t (a text primary key);
create table u (a text constraint f references t);
-- pair: foreign keys in a circle come and go
-- old
create table z (a integer);
-- new
create table z (a integer);
create table t (a integer primary key, b integer);
create table u (a integer primary key, b integer references t);
alter table t add foreign key (b) references u;
-- pair: foreign key to itself
-- old
create table t (a integer primary key);
-- new
create table t (a integer primary key, parent integer references t on delete set null);
create index on t (parent);
-- pair: foreign key set null columns
-- old
create table t (a integer, b integer, primary key (a, b));
create table u (a integer, b integer, constraint f foreign key (a, b) references t match full);
-- new
create table t (a integer, b integer, primary key (a, b));
create table u (a integer, b integer, constraint f foreign key (a, b) references t on delete set null (b));
-- pair: exclude
-- old
create table t (a int4range, b text, constraint e exclude using gist (a with &&));
-- new
create table t (a int4range, b text, constraint e exclude using gist (a with &&) where (b is not null) deferrable);
-- pair: domain constraints
-- old
create domain d as integer constraint low check (value > 0);
create table t (a d);
-- new
create domain d as integer constraint low check (value > 1) constraint high check (value < 10) not null;
comment on constraint high on domain d is 'not too many';
create table t (a d);
-- pair: without overlaps (superuser, since 18)
create extension btree_gist;
-- old
create table t (a integer, during daterange, constraint k primary key (a, during));
-- new
create table t (a integer, during daterange, constraint k primary key (a, during without overlaps));
-- pair: no inherit
-- old
create table t (a integer, constraint c check (a > 0));
create table u () inherits (t);
-- new
create table t (a integer, constraint c check (a > 0) no inherit);
create table u () inherits (t);
-- pair: constraint trigger
-- old
create function f() returns trigger language plpgsql as 'begin return null; end';
create table t (a integer);
-- new
create function f() returns trigger language plpgsql as 'begin return null; end';
create table t (a integer);
create constraint trigger late after insert on t deferrable initially deferred for each row execute function f();
comment on trigger late on t is 'late';
-- pair: values of a varchar
-- old
create table t (a varchar(10) check (a in ('x', 'y')));
-- new
create table t (a varchar(10) check (a in ('x', 'y', 'z')), b varchar(5) check (b in ('p', 'q')));
