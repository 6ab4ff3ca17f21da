CREATE ROLE case_loader LOGIN;
GRANT pg_execute_server_program, pg_read_server_files TO case_loader;
