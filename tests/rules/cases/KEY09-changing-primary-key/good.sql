CREATE TABLE accounts (
    account_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE
);

-- codes that a standard keeps
CREATE TABLE countries (
    code text PRIMARY KEY,
    name text NOT NULL
);

-- the address is all there is to know
CREATE TABLE blocked_addresses (
    email text PRIMARY KEY,
    blocked_at timestamptz NOT NULL DEFAULT now()
);

-- several columns
CREATE TABLE login_attempts (
    email text NOT NULL,
    attempted_at timestamptz NOT NULL,
    succeeded boolean NOT NULL,
    PRIMARY KEY (email, attempted_at)
);

-- nothing refers to it
CREATE TABLE newsletter_subscribers (
    email text PRIMARY KEY CHECK (email = lower(email)),
    confirmed_at timestamptz,
    token text NOT NULL
);
