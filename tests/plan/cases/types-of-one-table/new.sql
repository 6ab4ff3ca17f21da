create schema app;
create table app.t(id int primary key, a bigint not null default 1 check (a > 0), "B c" numeric unique, d varchar(40), e bigint);
create index i on app.t (e);
