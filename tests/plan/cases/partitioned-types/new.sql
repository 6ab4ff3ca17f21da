create schema app;
create table app.t(id int, a bigint not null default 1, b numeric, at timestamptz) partition by range (id);
create table app.t1 partition of app.t for values from (0) to (1000);
