create schema app;
create table app.t(id int primary key, a int, b text);

create index t_a on app.t(a) where a>3;
comment on index app.t_a is $$x$$;
