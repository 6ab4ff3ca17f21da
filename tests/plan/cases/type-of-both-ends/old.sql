create schema app;
create table app.t(id serial primary key, b text);
create table app.u(t int not null references app.t(id) on delete cascade);
insert into app.t(b) select null from generate_series(1,50);
insert into app.u select g from generate_series(1,50) g;
