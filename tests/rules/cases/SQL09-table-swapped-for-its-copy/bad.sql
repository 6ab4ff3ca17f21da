CREATE TABLE users_new (LIKE users INCLUDING ALL);
INSERT INTO users_new SELECT * FROM users;
ALTER TABLE users RENAME TO users_old;
ALTER TABLE users_new RENAME TO users;
