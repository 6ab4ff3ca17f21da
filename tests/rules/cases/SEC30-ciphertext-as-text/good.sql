CREATE FUNCTION encrypt_pii(value text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN pgp_sym_encrypt(value, current_setting('app.key'));
END $$;
CREATE FUNCTION encrypt_for_mail(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    -- RETURN pgp_sym_encrypt(value, key);
    RETURN armor(pgp_sym_encrypt(value, current_setting('app.key')));
END $$;
CREATE FUNCTION encrypt_as_base64(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN encode(pgp_sym_encrypt(value, current_setting('app.key')), 'base64');
END $$;
CREATE FUNCTION decrypt_pii(value bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN pgp_sym_decrypt(value, current_setting('app.key'));
END $$;
