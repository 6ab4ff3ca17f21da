-- name: capabilities
SELECT (SELECT setting ~ '--with-(openssl|ssl=openssl)' FROM pg_catalog.pg_config WHERE name = 'CONFIGURE'),
       EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'i' AND collname <> 'unicode'),
       (SELECT 'lz4' = ANY (enumvals) FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression'),
       (SELECT 'zstd' = ANY (enumvals) FROM pg_catalog.pg_settings WHERE name = 'wal_compression'),
       (SELECT setting LIKE '%--with-libxml%' FROM pg_catalog.pg_config WHERE name = 'CONFIGURE'),
       pg_catalog.pg_jit_available(),
       EXISTS (SELECT FROM pg_catalog.pg_timezone_names WHERE name = 'Europe/Paris')

-- name: extensions
SELECT name::text, default_version FROM pg_catalog.pg_available_extensions ORDER BY name
