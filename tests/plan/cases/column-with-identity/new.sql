create schema app;
create table app.t(id int primary key, a int, b text);

alter table app.t add n bigint generated always as identity (start 5 increment 5);
