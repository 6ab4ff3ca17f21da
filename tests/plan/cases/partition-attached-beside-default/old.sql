create schema app;
create table app.p(id int, at date) partition by range(at);
create table app.p1 partition of app.p for values from ('2020-01-01') to ('2021-01-01');
create table app.p2 partition of app.p for values from ('2021-01-01') to ('2022-01-01');
insert into app.p values (1,'2020-02-02'),(2,'2021-02-02');
create table app.pd partition of app.p default;
create table app.p3(id int, at date);
insert into app.p3 values (1,'2023-02-02');
