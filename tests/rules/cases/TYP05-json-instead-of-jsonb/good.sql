CREATE TABLE webhooks (
    webhook_id uuid PRIMARY KEY,
    payload jsonb NOT NULL DEFAULT '{}',
    -- its signature covers every byte
    raw_payload json NOT NULL
);
