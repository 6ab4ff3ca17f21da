SET password_encryption = 'scram-sha-256';
CREATE ROLE case_app LOGIN PASSWORD 'new habits';
CREATE ROLE case_by_certificate LOGIN;
CREATE ROLE case_group NOLOGIN;
