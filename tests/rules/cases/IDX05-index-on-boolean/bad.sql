CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    is_read boolean NOT NULL DEFAULT false
);
CREATE INDEX idx_messages_is_read ON messages (is_read);
