CREATE EXTENSION postgres_fdw;
CREATE SERVER case_store FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'store', sslkey '/etc/keys/client.key');
CREATE ROLE case_app;
CREATE USER MAPPING FOR case_app SERVER case_store OPTIONS (user 'reader', password 'geheim', password_required 'true');
CREATE FOREIGN DATA WRAPPER case_wrapper;
CREATE SERVER case_files FOREIGN DATA WRAPPER case_wrapper OPTIONS (secret_file '/etc/x', access_key_id 'ABC', token_url 'https://x', key_column 'id');
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET app.token_lifetime = %L', current_database(), '3600');
    EXECUTE format('ALTER DATABASE %I SET password_encryption = %L', current_database(), 'scram-sha-256');
END $$;
-- where secrets lie and how they are made, not what they are
CREATE SERVER case_vault FOREIGN DATA WRAPPER case_wrapper OPTIONS (secret_name 'shop/db', secret_arn 'arn:x', secrets_region 'eu', api_key_name 'main');
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET app.allow_password_login = %L', current_database(), 'on');
    EXECUTE format('ALTER DATABASE %I SET credcheck.password_min_digit = %L', current_database(), '2');
    EXECUTE format('ALTER DATABASE %I SET app.secret_rotation_days = %L', current_database(), '90');
END $$;
