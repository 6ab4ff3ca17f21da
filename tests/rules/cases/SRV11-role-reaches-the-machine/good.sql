CREATE ROLE case_loader LOGIN;
CREATE ROLE case_files NOLOGIN;
GRANT pg_read_server_files TO case_files;
GRANT pg_monitor TO case_loader;
