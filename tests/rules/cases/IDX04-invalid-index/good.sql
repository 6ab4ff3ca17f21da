CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL
);
CREATE UNIQUE INDEX CONCURRENTLY uq_users_email ON users (email);

CREATE TABLE visits (
    visited_on date NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (visited_on);
CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX idx_visits_page ON ONLY visits (page);
CREATE INDEX CONCURRENTLY idx_visits_2026_page ON visits_2026 (page);
ALTER INDEX idx_visits_page ATTACH PARTITION idx_visits_2026_page;
