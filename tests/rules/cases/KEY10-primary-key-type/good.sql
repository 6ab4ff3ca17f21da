CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);

-- a natural key
CREATE TABLE currencies (
    code char(3) PRIMARY KEY
);

-- shared with users
CREATE TABLE profiles (
    user_id uuid PRIMARY KEY REFERENCES users
);

-- several columns
CREATE TABLE follows (
    follower_id uuid NOT NULL REFERENCES users,
    followed_id uuid NOT NULL REFERENCES users,
    PRIMARY KEY (follower_id, followed_id)
);
