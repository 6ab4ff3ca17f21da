CREATE TABLE players (
    user_name text PRIMARY KEY
);
CREATE TABLE scores (
    score_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    player text NOT NULL REFERENCES players (user_name),
    points integer NOT NULL
);
CREATE TABLE accounts (
    email text PRIMARY KEY,
    full_name text NOT NULL
);
CREATE TABLE invoices (
    invoice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES accounts ON UPDATE CASCADE
);
