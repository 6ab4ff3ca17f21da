CREATE ROLE app LOGIN PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy';
ALTER SYSTEM SET password_encryption = 'scram-sha-256';
SELECT md5('text');
