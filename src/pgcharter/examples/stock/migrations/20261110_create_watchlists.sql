-- Migration: Create watchlists
-- Description: Instruments that a user follows

-- Up Migration
BEGIN;

CREATE TABLE watchlists (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT uq_watchlists_user_id_name UNIQUE (user_id, name),
    CONSTRAINT fk_watchlists_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT ck_watchlists_name_length CHECK (char_length(name) BETWEEN 1 AND 100)
);

COMMENT ON TABLE watchlists IS 'Lists of instruments; they go with their user';

CREATE TABLE watchlist_items (
    watchlist_id UUID NOT NULL,
    instrument_id UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (watchlist_id, instrument_id),
    CONSTRAINT fk_watchlist_items_watchlists FOREIGN KEY (watchlist_id) REFERENCES watchlists (id) ON DELETE CASCADE,
    CONSTRAINT fk_watchlist_items_instruments FOREIGN KEY (instrument_id) REFERENCES instruments (id) ON DELETE CASCADE
);

CREATE INDEX idx_watchlist_items_instrument_id ON watchlist_items (instrument_id);

COMMENT ON TABLE watchlist_items IS 'Which instruments stand on which list';

GRANT SELECT, INSERT, UPDATE, DELETE ON watchlists, watchlist_items TO stock_application;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE watchlist_items;
DROP TABLE watchlists;

COMMIT;
