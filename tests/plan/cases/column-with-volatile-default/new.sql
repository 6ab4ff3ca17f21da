create schema app;
create table app.t(id int primary key, a int, b text);

alter table app.t add r double precision not null default random();
