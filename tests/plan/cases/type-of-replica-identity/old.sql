create schema app;
create table app.t(id int primary key, a int, b text);
insert into app.t select g, g, g::text from generate_series(1, 200) g;
alter table app.t alter a set not null;
create unique index ri on app.t(a);
alter table app.t replica identity using index ri;
cluster app.t using ri;
