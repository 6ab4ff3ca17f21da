create schema app;
create type app.e as enum('a','x','c');
create table app.t(id int primary key, e app.e not null default 'a', constraint k check (e <> 'c'));
insert into app.t values(1,'a');
create index i on app.t(e) where e = 'a';
