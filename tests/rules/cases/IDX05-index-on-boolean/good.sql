CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    is_read boolean NOT NULL DEFAULT false,
    sent_at timestamptz NOT NULL
);
CREATE INDEX idx_messages_unread ON messages (user_id, sent_at) WHERE NOT is_read;
CREATE INDEX idx_messages_user_id_is_read ON messages (user_id, is_read);

-- at most one
CREATE TABLE addresses (
    address_id uuid PRIMARY KEY,
    is_default boolean
);
CREATE UNIQUE INDEX uq_addresses_default ON addresses (is_default) WHERE is_default;
