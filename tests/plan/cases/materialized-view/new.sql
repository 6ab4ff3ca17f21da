create schema app;
create table app.t(id int primary key, a int, b text);

create materialized view app.m as select id,b,a from app.t;
create index mi on app.m(id);
