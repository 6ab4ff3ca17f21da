CREATE ROLE app_api LOGIN;
ALTER ROLE app_api PASSWORD NULL;
CREATE ROLE app_web LOGIN PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy';
CREATE USER MAPPING FOR app_api SERVER warehouse OPTIONS (user 'reader');
ALTER ROLE app_api SET search_path = app;
