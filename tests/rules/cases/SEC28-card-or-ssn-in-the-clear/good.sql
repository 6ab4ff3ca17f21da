CREATE TABLE people (id bigint PRIMARY KEY, ssn_encrypted bytea, ssn bytea, session_number text, credit_card_id bigint, credit_card_last4 text);
CREATE TABLE library_cards (id bigint PRIMARY KEY, card_number text NOT NULL, issued_on date);
CREATE TABLE payment_methods (id bigint PRIMARY KEY, encrypted_card_number text NOT NULL, card_last_four varchar(4), expiry_month integer, card_token text);
CREATE TABLE customers (id bigint PRIMARY KEY, social_security_number text);
COMMENT ON COLUMN customers.social_security_number IS 'Encrypted by the application, base64.';
CREATE TABLE taxpayers (id bigint PRIMARY KEY, pan_number text);

-- other cards
CREATE TABLE loyalty_cards (card_number text PRIMARY KEY, expires_on date NOT NULL);
CREATE TABLE readers (reader_id bigint PRIMARY KEY, library_card_number text NOT NULL, card_expires_on date);
