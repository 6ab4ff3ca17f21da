CREATE TABLE tickets (
    ticket_id uuid PRIMARY KEY,
    status text CHECK (status IN ('open', 'closed', 'NULL')),
    closed_at timestamptz,
    CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    CHECK (num_nonnulls(status, closed_at) > 0),
    CHECK (COALESCE(status, NULL, 'open') <> '')
);
