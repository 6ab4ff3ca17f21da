CREATE TABLE logins (
    login_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ip_address varchar(15) NOT NULL
);
INSERT INTO logins (ip_address) VALUES ('192.0.2.1');
