CREATE TABLE users (id bigint PRIMARY KEY, created_at timestamp, updated_at timestamptz, note text, version text);
CREATE TABLE "User Notes" (id bigint PRIMARY KEY, created_at timestamptz, note varchar(30));
CREATE TABLE days (id bigint PRIMARY KEY, created_at date NOT NULL);
