CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    is_active boolean DEFAULT true
);
