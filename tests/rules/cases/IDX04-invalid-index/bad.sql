CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL
);
INSERT INTO users (email) VALUES ('ada@example.org'), ('ada@example.org');
-- fails half-way and leaves the index behind
CREATE UNIQUE INDEX CONCURRENTLY uq_users_email ON users (email);
DELETE FROM users;

CREATE TABLE visits (
    visited_on date NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (visited_on);
CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX idx_visits_page ON ONLY visits (page);
