CREATE TABLE webhooks (
    webhook_id uuid PRIMARY KEY,
    payload json NOT NULL DEFAULT '{}'
);
