create schema app;
create table app.t(id int , a int, b text);

alter table app.t add constraint t_pkey primary key (id,a);
