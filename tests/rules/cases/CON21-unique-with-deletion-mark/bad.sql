CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    phone text NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT uq_users_email UNIQUE (email, deleted_at)
);
CREATE UNIQUE INDEX uq_users_phone ON users (phone) WHERE deleted_at IS NOT NULL;
