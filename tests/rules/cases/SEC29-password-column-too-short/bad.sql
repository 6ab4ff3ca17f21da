CREATE TABLE users (id bigint PRIMARY KEY, password varchar(40) NOT NULL, admin_pwd char(32));
