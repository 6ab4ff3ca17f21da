CREATE TABLE clicks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz NOT NULL DEFAULT now(), number bigint GENERATED ALWAYS AS IDENTITY, other uuid
);
CREATE INDEX ON clicks USING brin (at, number);
CREATE INDEX ON clicks USING brin (id uuid_bloom_ops);
-- perhaps of version 7
CREATE INDEX ON clicks USING brin (other);
