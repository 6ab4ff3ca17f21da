-- Encryption at rest: encrypted volumes, see the runbook

-- Encryption in transit
-- ssl = on
CREATE TABLE payments (id bigint PRIMARY KEY, card bytea);
