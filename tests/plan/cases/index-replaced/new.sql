create schema app;
create table app.t(id int primary key, a int, b text);

create index t_a on app.t(a,b);
