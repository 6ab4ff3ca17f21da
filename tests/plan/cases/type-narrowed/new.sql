create schema app;
create table app.t(id int primary key, a int, b varchar(20));

