create schema app;
create domain app.d as int;
create table app.t(d app.d);
insert into app.t values(1);
