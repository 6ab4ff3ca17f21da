CREATE TABLE users_archive (LIKE users INCLUDING ALL);
INSERT INTO users_archive SELECT * FROM users WHERE id < 100;
ALTER TABLE users_archive RENAME TO users_archive_2026;
ALTER TABLE people RENAME TO users;

CREATE TABLE notes (id bigint PRIMARY KEY, body text);
CREATE TABLE notes_kept AS SELECT * FROM notes;
ALTER TABLE notes_kept RENAME TO notes_2026;
