CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id)
);

-- a shared key has no generator of its own
CREATE TABLE profiles (
    user_id bigint PRIMARY KEY REFERENCES users (id),
    biography text
);

-- a plain default is a choice
CREATE TABLE plans (
    plan smallint PRIMARY KEY
);
CREATE TABLE subscriptions (
    user_id bigint PRIMARY KEY REFERENCES users (id),
    plan smallint NOT NULL DEFAULT 1 REFERENCES plans (plan)
);
