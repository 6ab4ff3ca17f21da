create schema app;
create table app.u(x int);
