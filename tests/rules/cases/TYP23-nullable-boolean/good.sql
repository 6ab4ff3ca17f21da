CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    is_active boolean NOT NULL DEFAULT true,
    -- not asked yet
    wants_newsletter boolean
);
