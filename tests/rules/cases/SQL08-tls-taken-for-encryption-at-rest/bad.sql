-- Encryption at rest
-- ssl = on
-- ssl_cert_file = 'server.crt'
CREATE TABLE payments (id bigint PRIMARY KEY, card bytea);
