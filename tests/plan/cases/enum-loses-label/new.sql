create schema app;
create type app.e as enum('a','c');
create table app.t(id int primary key, e app.e not null default 'a', constraint k check (e <> 'c'));
create index i on app.t(e) where e = 'a';
