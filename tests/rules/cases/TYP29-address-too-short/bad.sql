CREATE TABLE logins (
    login_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ip_address varchar(15) NOT NULL
);
