CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    date_of_birth date,
    CONSTRAINT chk_age CHECK (date_of_birth IS NULL OR date_of_birth <= CURRENT_DATE - INTERVAL '13 years')
);
CREATE TABLE vouchers (
    voucher_id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL CONSTRAINT chk_not_expired CHECK (expires_at > now())
);
