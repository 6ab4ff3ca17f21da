-- The part of the kitchen sink that speaks of roles of the server: run it on a server of the test's own.
create role reader;
create role "Mixed Role" login connection limit 3 valid until '2030-01-01 00:00:00+00';
create role owner_of_app nologin;
comment on role reader is 'may read';
grant reader to "Mixed Role" with admin option;
alter role reader set statement_timeout = '5s';
grant usage on schema app to reader;
grant select on app.vendors to reader with grant option;
grant select (id, placed_on), update (placed_on) on app.orders to "Mixed Role";
grant all on app.numbers to reader;
grant execute on function app.touch() to reader;
grant usage on foreign server elsewhere to reader;
create policy own on app.vendors as restrictive for update to reader, "Mixed Role" using (rating > 1) with check (rating > 2);
create policy anybody on app.vendors for select using (true);
comment on policy own on app.vendors is 'their own';
alter default privileges in schema app grant select on tables to reader;
alter default privileges for role owner_of_app revoke execute on functions from public;
alter table app.lonely owner to owner_of_app;
