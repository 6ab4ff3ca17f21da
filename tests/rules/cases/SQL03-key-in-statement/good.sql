INSERT INTO cards (number) VALUES (pgp_sym_encrypt($1, $2));
SELECT pgp_sym_decrypt(number, current_setting('app.key')) FROM cards;
SELECT crypt('secret', gen_salt('bf')), digest('text', 'sha256'), encode('text', 'base64');
SELECT 'pgp_sym_encrypt(x, ''key'')';
