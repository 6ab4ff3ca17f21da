create schema app;
create table app.t(id bigserial primary key, b text);
create table app.u(t bigint not null references app.t(id) on delete cascade);
