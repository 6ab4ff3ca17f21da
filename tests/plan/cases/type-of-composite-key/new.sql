create schema app;
create table app.t(tenant bigint not null, id bigint not null, kind int not null default 1, primary key (tenant, id));
create unique index t_kind on app.t(kind, tenant, id) where id > 0;
create table app.u(tenant int not null, t int not null, foreign key (tenant, t) references app.t(tenant, id));
