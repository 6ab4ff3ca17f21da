-- file: 001_orders.sql
CREATE TABLE app.orders (id bigint PRIMARY KEY, "Angelegt" timestamp NOT NULL);
-- file: 002_zone.sql
ALTER TABLE app.orders ALTER "Angelegt" TYPE timestamptz;
ALTER TABLE app.orders ALTER COLUMN "Angelegt" TYPE timestamp;
ALTER TABLE app.orders ALTER COLUMN "Angelegt" TYPE timestamptz USING "Angelegt"::timestamptz;
