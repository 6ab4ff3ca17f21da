-- migrate:up
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE t (id bigint PRIMARY KEY, m mood);
CREATE INDEX t_m_idx ON t (m);
ALTER TABLE orders ADD COLUMN mood mood;
CREATE INDEX orders_mood_idx ON orders (mood);
CREATE SCHEMA side;
CREATE TABLE side.u (id bigint PRIMARY KEY);
CREATE TABLE gone (id bigint);
DROP TABLE gone;
-- migrate:down
ALTER TABLE orders DROP COLUMN mood;
DROP TABLE t;
DROP TYPE mood;
DROP SCHEMA side CASCADE;
