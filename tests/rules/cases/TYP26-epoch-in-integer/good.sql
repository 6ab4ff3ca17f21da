CREATE TABLE tokens (
    token_id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    -- milliseconds, as the protocol has them
    created_at bigint NOT NULL,
    -- numbers that are no moments
    looked_at integer NOT NULL DEFAULT 0,
    seat integer
);
