create schema app;
create table app.t(id int primary key, a int, b text);
insert into app.t select g, g, g::text from generate_series(1, 200) g;
alter table app.t enable row level security;
create policy p on app.t using (a > 1);
create trigger tt before update of a on app.t for each row execute function suppress_redundant_updates_trigger();
create statistics app.s on a,id from app.t;
alter table app.t alter a set statistics 77;
