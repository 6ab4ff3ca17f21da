create schema app;
create table app.t(id int primary key, a int, b text);

alter table app.t add g int generated always as (a*2) stored;
