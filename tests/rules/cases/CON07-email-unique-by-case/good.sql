CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    email text NOT NULL
);
CREATE UNIQUE INDEX uq_users_email ON users (lower(email));

CREATE TABLE vendors (
    vendor_id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email))
);

CREATE TABLE staff (
    staff_id uuid PRIMARY KEY,
    email text NOT NULL,
    email_folded text GENERATED ALWAYS AS (lower(email)) STORED UNIQUE
);

CREATE FUNCTION fold_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.email := lower(trim(new.email));
    RETURN new;
END
$$;
CREATE TABLE guests (
    guest_id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE
);
CREATE TRIGGER fold_email BEFORE INSERT OR UPDATE ON guests FOR EACH ROW EXECUTE FUNCTION fold_email();

CREATE TABLE mails (
    mail_id uuid PRIMARY KEY,
    email_hash text NOT NULL UNIQUE,
    sender_email text NOT NULL
);

-- a log of attempts, as they were typed
CREATE TABLE login_attempts (
    email text NOT NULL,
    attempted_at timestamptz NOT NULL,
    PRIMARY KEY (email, attempted_at)
);

-- names with email in them that are no addresses as typed
CREATE TABLE mailings (
    mailing_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email_template text NOT NULL UNIQUE,
    email_subject varchar(200) UNIQUE,
    normalized_email text UNIQUE
);

-- capitals are refused
CREATE TABLE invitations (
    invitation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email !~ '[A-Z]')
);
