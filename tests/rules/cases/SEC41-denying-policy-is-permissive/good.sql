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
-- blocks are what the table is about
CREATE TABLE user_blocks (blocker text NOT NULL, blocked text NOT NULL, PRIMARY KEY (blocker, blocked));
ALTER TABLE user_blocks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON user_blocks USING (blocker = CURRENT_USER);
CREATE POLICY blocks_are_told ON user_blocks FOR SELECT USING (blocked = CURRENT_USER);
CREATE TABLE relations (a text NOT NULL, b text NOT NULL, PRIMARY KEY (a, b));
ALTER TABLE relations ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Admins can do everything" ON relations USING (pg_has_role(CURRENT_USER, 'case_member', 'member'));
CREATE POLICY "Users can block others" ON relations FOR INSERT WITH CHECK (a = CURRENT_USER);
CREATE POLICY "who may block others" ON relations FOR SELECT USING (a = CURRENT_USER);
