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
