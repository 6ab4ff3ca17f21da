CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON documents USING (true);
CREATE POLICY removal ON documents FOR DELETE USING (true);
