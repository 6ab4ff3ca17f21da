create schema app;
create table app.t(id int primary key, a int, b text);

create table app.u(x int, constraint f foreign key (x) references app.t(id) on delete cascade);
comment on constraint f on app.u is $$hi$$;
