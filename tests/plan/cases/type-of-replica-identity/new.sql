create schema app;
create table app.t(id int primary key, a bigint, b text);

alter table app.t alter a set not null;
create unique index ri on app.t(a);
alter table app.t replica identity using index ri;
cluster app.t using ri;
