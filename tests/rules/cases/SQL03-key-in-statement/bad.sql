INSERT INTO cards (number) VALUES (pgp_sym_encrypt('4111 1111 1111 1111', 'the key'));
SELECT pgp_sym_decrypt(number::bytea, 'the key') FROM cards;
DO $$ BEGIN UPDATE cards SET number = encrypt(number, 'k', 'aes'); END $$;
