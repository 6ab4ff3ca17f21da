CREATE ROLE case_guest;
CREATE ROLE case_member;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text NOT NULL, archived boolean NOT NULL, blocked boolean NOT NULL);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON documents FOR SELECT TO case_member USING (owner = CURRENT_USER);
CREATE POLICY deny_archived ON documents AS RESTRICTIVE USING (NOT archived);
-- nothing else allows: only a note
CREATE POLICY deny_guests ON documents TO case_guest USING (false);
CREATE POLICY deny_delete ON documents FOR DELETE USING (false);
CREATE TABLE notes (id bigint PRIMARY KEY);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY deny_all ON notes USING (false);
