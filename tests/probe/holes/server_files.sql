-- broken: the login may read files of the server, those of tables as well
-- says: prb_api | role pg_read_server_files | SET ROLE
GRANT pg_read_server_files TO prb_api;
