CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, is_deleted boolean NOT NULL DEFAULT false);
CREATE UNIQUE INDEX ON users (email) WHERE NOT is_deleted;
CREATE INDEX ON users (email, is_deleted);
-- one default per customer, whatever is deleted
CREATE TABLE addresses (id bigint PRIMARY KEY, customer_id bigint NOT NULL, is_default boolean NOT NULL, is_deleted boolean NOT NULL);
CREATE UNIQUE INDEX ON addresses (customer_id, is_default) WHERE is_default AND NOT is_deleted;
-- unique by itself
CREATE TABLE teams (id bigint PRIMARY KEY, name text NOT NULL UNIQUE, is_deleted boolean NOT NULL, UNIQUE (name, is_deleted));
CREATE TABLE members (team text, deleted boolean, FOREIGN KEY (team, deleted) REFERENCES teams (name, is_deleted));
-- figures: the flag is what they are told apart by
CREATE TABLE forum_counts (id bigint PRIMARY KEY, forum_id bigint NOT NULL, deleted boolean NOT NULL, n bigint NOT NULL, UNIQUE (forum_id, deleted));
CREATE TABLE daily_stats (id bigint PRIMARY KEY, day date NOT NULL, is_deleted boolean NOT NULL, n bigint NOT NULL, UNIQUE (day, is_deleted));
