create schema app;
create table app.t(id int primary key, a int, b text);

create view app.old as select 1 as i;
