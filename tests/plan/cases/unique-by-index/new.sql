create schema app;
create table app.t(id int primary key, a int, b text);

alter table app.t add constraint u unique(b) deferrable initially deferred;
