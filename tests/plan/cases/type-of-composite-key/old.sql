create schema app;
create table app.t(tenant int not null, id int not null, kind int not null default 1, primary key (tenant, id));
create unique index t_kind on app.t(kind, tenant, id) where id > 0;
create table app.u(tenant int not null, t int not null, foreign key (tenant, t) references app.t(tenant, id));
insert into app.t select 1, g from generate_series(1, 30) g;
insert into app.u select 1, g from generate_series(1, 30) g;
