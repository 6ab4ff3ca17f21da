create schema app;
create type app.e as enum('a','b','c');
create table app.t(e app.e default 'b');
