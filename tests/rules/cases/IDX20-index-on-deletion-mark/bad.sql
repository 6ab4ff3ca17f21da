CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    deleted_at timestamptz
);
CREATE INDEX idx_users_not_deleted ON users (deleted_at) WHERE deleted_at IS NULL;
