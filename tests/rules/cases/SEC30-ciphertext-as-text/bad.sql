CREATE FUNCTION encrypt_pii(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN pgp_sym_encrypt(value, current_setting('app.key'));
END $$;
