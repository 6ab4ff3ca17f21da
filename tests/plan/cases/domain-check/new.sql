create schema app;
create domain app.d as int constraint k check (value>0);
create table app.t(d app.d);
