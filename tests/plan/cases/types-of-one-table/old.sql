create schema app;
create table app.t(id int primary key, a int not null default 1 check (a > 0), "B c" int unique, d varchar(20), e int);
insert into app.t select g, g, g, g, g from generate_series(1, 200) g;
create index i on app.t (e);
