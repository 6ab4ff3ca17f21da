CREATE ROLE app LOGIN PASSWORD 'md58e2b9a1f0c3d4e5f60718293a4b5c6d7';
ALTER SYSTEM SET password_encryption = 'md5';
SET password_encryption TO md5;
