CREATE TABLE tickets (
    ticket_id uuid PRIMARY KEY,
    status text CONSTRAINT chk_status CHECK (status IN ('open', 'closed', NULL)),
    closed_at timestamptz CONSTRAINT chk_closed CHECK (closed_at <> NULL)
);
