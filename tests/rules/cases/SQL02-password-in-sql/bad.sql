CREATE USER app_api WITH PASSWORD 'secure_password';
ALTER ROLE "Reporting" PASSWORD 'another one';
CREATE USER MAPPING FOR app_api SERVER warehouse OPTIONS (user 'reader', password 'third');
