CREATE TABLE events (
    event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (created_at);

CREATE TABLE visits (
    visit_id bigint GENERATED ALWAYS AS IDENTITY,
    site_id bigint NOT NULL,
    visited_on date NOT NULL,
    UNIQUE (site_id, visit_id)
) PARTITION BY RANGE (visited_on);

CREATE TABLE hits (hit_id bigint NOT NULL, hit_on date NOT NULL) PARTITION BY RANGE (hit_on);
ALTER TABLE hits ADD PRIMARY KEY (hit_id);
