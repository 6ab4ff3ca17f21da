CREATE ROLE case_app;
CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
CREATE POLICY reading ON documents FOR SELECT USING (true);
CREATE POLICY maintenance ON documents TO case_app USING (true);
CREATE TABLE guarded (id bigint PRIMARY KEY, owner text);
CREATE POLICY open ON guarded USING (true);
CREATE POLICY own ON guarded AS RESTRICTIVE USING (owner = current_user);
