CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, at timestamptz NOT NULL, note text);
CREATE INDEX orders_user ON orders (user_id, user_id);
CREATE UNIQUE INDEX orders_once ON orders (user_id, at, user_id) INCLUDE (note) NULLS NOT DISTINCT WHERE note IS NOT NULL;
CREATE INDEX orders_included ON orders (at) INCLUDE (at, note);
CREATE INDEX orders_lower ON orders (lower(note), lower(note));
CREATE INDEX orders_down ON orders (at DESC, at);
