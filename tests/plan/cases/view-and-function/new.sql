create schema app;
create table app.t(id int primary key, a int, b text);

create view app.v as select id,b from app.t;
create function app.f(int) returns text language sql as $$select $x$1$x$::text$$;
