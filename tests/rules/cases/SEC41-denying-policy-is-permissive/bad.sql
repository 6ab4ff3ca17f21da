CREATE ROLE case_guest;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text NOT NULL, archived boolean NOT NULL);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON documents USING (owner = CURRENT_USER);
CREATE POLICY deny_archived ON documents FOR SELECT USING (NOT archived);
CREATE POLICY "Block guests" ON documents TO case_guest USING (false) WITH CHECK (false);
