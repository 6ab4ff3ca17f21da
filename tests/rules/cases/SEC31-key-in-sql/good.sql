CREATE FUNCTION encrypt_pii(value text, key text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    -- pgp_sym_encrypt(value, 'no key')
    RETURN pgp_sym_encrypt(value, key, 'cipher-algo=aes256');
END $$;
CREATE FUNCTION encrypt_setting(value text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN pgp_sym_encrypt(value, current_setting('app.key'));
END $$;
CREATE FUNCTION encrypt(value text, field text) RETURNS bytea LANGUAGE sql AS $$ SELECT convert_to(value || field, 'UTF8') $$;
CREATE FUNCTION encrypt_ssn(value text) RETURNS bytea LANGUAGE sql AS $$ SELECT encrypt(value, 'ssn') $$;
