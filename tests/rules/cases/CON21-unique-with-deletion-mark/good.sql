CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL,
    phone text NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT uq_users_email UNIQUE NULLS NOT DISTINCT (email, deleted_at)
);
CREATE UNIQUE INDEX uq_users_phone ON users (phone) WHERE deleted_at IS NULL;

-- 'infinity' marks living rows
CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    sku text NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT 'infinity',
    UNIQUE (sku, deleted_at)
);
