CREATE DOMAIN user_key AS bigint;
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE countries (
    code varchar(10) PRIMARY KEY
);
CREATE TABLE orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id user_key NOT NULL REFERENCES users (id),
    country text REFERENCES countries (code),
    shipped_to varchar(20) REFERENCES countries (code)
);

-- widened ahead of the key it refers to
CREATE TABLE wide_targets (wide_target_id integer PRIMARY KEY);
CREATE TABLE wide_sources (
    wide_source_id bigint PRIMARY KEY,
    wide_target_id bigint NOT NULL REFERENCES wide_targets
);
