create schema app;
create table app.t(id int primary key, a int, b text);
insert into app.t select g, g, g::text from generate_series(1, 200) g;
alter table app.t add at timestamp; create index t_at on app.t (at);
