-- name: where
select (select s.setting from pg_catalog.pg_settings s where s.name = 'data_directory'),
       (select s.setting::int from pg_catalog.pg_settings s where s.name = 'port'),
       (select s.setting from pg_catalog.pg_settings s where s.name = 'unix_socket_directories'),
       (select s.setting from pg_catalog.pg_settings s where s.name = 'archive_command')
