CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, at timestamptz NOT NULL, note text);
CREATE INDEX ON orders (user_id, at) INCLUDE (note);
CREATE INDEX ON orders (note, note text_pattern_ops);
CREATE INDEX ON orders (note, lower(note));
CREATE INDEX ON orders (note COLLATE "C", note);
-- GiST keeps a bounding box; the column itself is carried to be read from the index
CREATE TABLE areas (id bigint PRIMARY KEY, outline polygon NOT NULL);
CREATE INDEX ON areas USING gist (outline) INCLUDE (outline);
