CREATE TABLE clicks (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz NOT NULL, visit uuid NOT NULL DEFAULT gen_random_uuid());
CREATE INDEX clicks_id ON clicks USING brin (id);
CREATE INDEX clicks_visit ON clicks USING brin (visit);
CREATE INDEX clicks_at_visit ON clicks USING brin (at, visit);
