CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    date_of_birth date CHECK (date_of_birth >= DATE '1900-01-01'),
    age integer CHECK (age BETWEEN 0 AND 150),
    note text CHECK (note <> 'now() or CURRENT_DATE')
);
CREATE TABLE vouchers (
    voucher_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (expires_at > created_at),
    CHECK (age(expires_at, created_at) < INTERVAL '2 years')
);

-- on writing
CREATE FUNCTION refuse_expired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.expires_at <= now() THEN
        RAISE EXCEPTION 'a voucher must not be expired when it is written';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER refuse_expired BEFORE INSERT ON vouchers FOR EACH ROW EXECUTE FUNCTION refuse_expired();
