CREATE DOMAIN moment AS timestamptz;
CREATE TABLE users (id bigint PRIMARY KEY, created_at timestamptz(3) NOT NULL, updated_at timestamptz(3), note varchar(20), version bigint);
CREATE TABLE orders (id bigint PRIMARY KEY, created_at moment NOT NULL);
