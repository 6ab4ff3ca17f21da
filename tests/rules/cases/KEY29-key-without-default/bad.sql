CREATE TABLE users (id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE "Odd Orders" ("Id" bigint PRIMARY KEY, total numeric(10, 2) NOT NULL);
