create schema app;
create table app.t(id int primary key, a int not null, b int not null);
insert into app.t select g, g, g from generate_series(1, 200) g;
create index i on app.t (a, b);
