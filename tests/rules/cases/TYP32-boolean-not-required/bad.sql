CREATE TABLE users (
    id bigint PRIMARY KEY,
    is_active boolean DEFAULT true,
    is_admin boolean NOT NULL,
    "Is Blocked" boolean,
    has_mail boolean DEFAULT NULL
);
