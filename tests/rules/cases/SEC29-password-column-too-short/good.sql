CREATE TABLE users (id bigint PRIMARY KEY, password varchar(255) NOT NULL, password_hash text, password_hint varchar(20), password_changed_at timestamptz,
    password_algorithm varchar(10));
