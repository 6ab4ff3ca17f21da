-- What only PostgreSQL 18 has.
create extension btree_gist schema public;
create table app.newest (a integer, b integer generated always as (a + 1) virtual, span daterange, constraint named not null a no inherit);
alter table app.newest add constraint late_not_null not null span not valid;
alter table app.newest add constraint loose check (a > 0) not enforced;
create table app.stays (room integer, during daterange, constraint stays_key primary key (room, during without overlaps));
create table app.visits (room integer, at daterange,
  constraint visits_stay foreign key (room, period at) references app.stays (room, period during));
