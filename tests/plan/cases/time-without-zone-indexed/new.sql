create schema app;
create table app.t(id int primary key, a int, b text);

alter table app.t add at timestamptz; create index t_at on app.t (at);
