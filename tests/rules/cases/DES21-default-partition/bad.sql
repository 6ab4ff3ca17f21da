CREATE TABLE visits (
    visited_on date NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (visited_on);
CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE visits_other PARTITION OF visits DEFAULT;
