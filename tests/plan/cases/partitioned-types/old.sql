create schema app;
create table app.t(id int, a int not null default 1, b int, at timestamp) partition by range (id);
create table app.t1 partition of app.t for values from (0) to (1000);
insert into app.t select g, g, g from generate_series(1, 200) g;
