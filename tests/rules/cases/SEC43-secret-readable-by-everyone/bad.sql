CREATE FOREIGN DATA WRAPPER case_wrapper;
CREATE SERVER case_store FOREIGN DATA WRAPPER case_wrapper OPTIONS (host 'store', password 'geheim', aws_secret_access_key 'k');
CREATE FOREIGN TABLE archived (id bigint) SERVER case_store OPTIONS (api_key 'abc');
CREATE ROLE case_app;
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET app.jwt_secret = %L', current_database(), 'abc');
    EXECUTE format('ALTER ROLE case_app IN DATABASE %I SET app.token = %L', current_database(), 'abc');
END $$;
