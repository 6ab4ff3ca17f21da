CREATE FUNCTION encrypt_pii(value text) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN pgp_sym_encrypt(value, 'correct horse');
END $$;
