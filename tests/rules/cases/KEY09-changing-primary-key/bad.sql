CREATE TABLE accounts (
    email text PRIMARY KEY,
    full_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE players (
    user_name text PRIMARY KEY
);
CREATE TABLE scores (
    score_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    player text NOT NULL REFERENCES players (user_name),
    points integer NOT NULL
);
