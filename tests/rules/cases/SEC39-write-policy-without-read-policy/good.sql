CREATE ROLE case_readers;
CREATE ROLE case_editor IN ROLE case_readers;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text NOT NULL);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON documents FOR SELECT TO case_readers USING (true);
CREATE POLICY change ON documents FOR UPDATE TO case_editor USING (owner = CURRENT_USER);
CREATE POLICY remove ON documents FOR DELETE USING (owner = CURRENT_USER);
CREATE TABLE notes (id bigint PRIMARY KEY, owner text NOT NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (owner = CURRENT_USER);
CREATE POLICY change ON notes FOR UPDATE USING (owner = 'all');
-- only added to, by everybody
CREATE TABLE feedback (id bigint PRIMARY KEY, words text NOT NULL);
ALTER TABLE feedback ENABLE ROW LEVEL SECURITY;
CREATE POLICY add ON feedback FOR INSERT WITH CHECK (true);
CREATE POLICY never ON feedback FOR UPDATE USING (false);
