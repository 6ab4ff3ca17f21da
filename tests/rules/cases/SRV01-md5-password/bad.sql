SET password_encryption = 'md5';
CREATE ROLE case_app LOGIN PASSWORD 'old habits';
