CREATE TABLE users_new (LIKE users INCLUDING ALL);
INSERT INTO users_new SELECT * FROM users;
ALTER TABLE users RENAME TO users_old;
ALTER TABLE users_new RENAME TO users;

CREATE TABLE notes (id bigint PRIMARY KEY, body text);
CREATE TABLE notes_copy AS SELECT * FROM notes;
DROP TABLE notes;
ALTER TABLE notes_copy RENAME TO notes;
