CREATE TABLE tokens (
    token_id uuid PRIMARY KEY,
    expires_at integer NOT NULL
);
