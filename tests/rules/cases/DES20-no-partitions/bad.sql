CREATE TABLE visits (
    visited_on date NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (visited_on);
