CREATE TABLE documents (id bigint PRIMARY KEY, owner text NOT NULL, archived boolean NOT NULL);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON documents USING (owner = CURRENT_USER);
CREATE POLICY living ON documents AS RESTRICTIVE USING (NOT archived);
-- closed on purpose
CREATE TABLE secrets (id bigint PRIMARY KEY);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
-- row security is off: another rule's affair
CREATE TABLE notes (id bigint PRIMARY KEY, owner text NOT NULL);
CREATE POLICY own ON notes AS RESTRICTIVE USING (owner = CURRENT_USER);
-- closed, and said so
CREATE TABLE vault (id bigint PRIMARY KEY);
ALTER TABLE vault ENABLE ROW LEVEL SECURITY;
CREATE POLICY nobody ON vault AS RESTRICTIVE USING (false);
CREATE POLICY nobody_writes ON vault AS RESTRICTIVE FOR INSERT WITH CHECK (false);
