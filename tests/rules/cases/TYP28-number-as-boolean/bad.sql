CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    is_active smallint NOT NULL DEFAULT 1,
    newsletter integer CHECK (newsletter IN (0, 1))
);
