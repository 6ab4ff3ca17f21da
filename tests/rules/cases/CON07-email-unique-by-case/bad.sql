CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email varchar(255) NOT NULL UNIQUE
);
CREATE TABLE members (
    member_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    email_address text NOT NULL,
    left_at timestamptz
);
CREATE UNIQUE INDEX uq_members_email ON members (tenant_id, email_address) WHERE left_at IS NULL;
