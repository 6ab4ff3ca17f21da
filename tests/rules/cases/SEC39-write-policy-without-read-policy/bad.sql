CREATE ROLE case_editor;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text NOT NULL);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY change ON documents FOR UPDATE USING (owner = CURRENT_USER);
CREATE POLICY remove ON documents FOR DELETE TO case_editor USING (true);
CREATE POLICY add ON documents FOR INSERT WITH CHECK (owner = CURRENT_USER);
-- a restrictive policy gives nothing
CREATE POLICY narrow ON documents AS RESTRICTIVE FOR SELECT USING (owner <> '');
