create schema app;
create table app.p(id int, at date) partition by range(at);
create table app.p1 partition of app.p for values from ('2020-01-01') to ('2021-01-01');
create table app.p2 partition of app.p for values from ('2021-01-01') to ('2022-01-01');
create table app.p3 partition of app.p for values from ('2023-01-01') to ('2024-01-01');
