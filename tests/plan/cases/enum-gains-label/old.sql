create schema app;
create type app.e as enum('a','c');
create table app.t(e app.e default 'a');
insert into app.t values('a');
