CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE countries (
    code varchar(10) PRIMARY KEY
);
CREATE TABLE orders (
    order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id),
    country varchar(2) REFERENCES countries (code)
);
CREATE TABLE vouchers (
    number numeric(20) PRIMARY KEY
);
CREATE TABLE redemptions (
    voucher bigint PRIMARY KEY REFERENCES vouchers (number)
);
