-- Migration: Create sessions
-- Description: Who is signed in, and until when

-- Up Migration
BEGIN;

CREATE TABLE sessions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL,
    token_hash BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_sessions_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT chk_sessions_token_hash_length CHECK (octet_length(token_hash) = 32),
    CONSTRAINT chk_sessions_expires_after_creation CHECK (expires_at > created_at)
);

-- uq_sessions_token_hash is the index that a request looks its session up by; it needs no second one.
CREATE INDEX idx_sessions_user_id ON sessions (user_id);
CREATE INDEX idx_sessions_expires_at ON sessions (expires_at);

COMMENT ON TABLE sessions IS 'Sessions of signed-in users; expired ones are deleted by a job';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the token: who reads the table or a backup cannot sign in with it';
COMMENT ON COLUMN sessions.expires_at IS 'End of the session; use moves it';

CREATE TRIGGER trg_sessions_set_updated_at BEFORE UPDATE ON sessions
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

REVOKE SELECT ON sessions FROM blog_reader;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE sessions;

COMMIT;
