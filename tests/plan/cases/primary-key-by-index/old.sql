create schema app;
create table app.t(id int, a int);
insert into app.t values (1,2);
