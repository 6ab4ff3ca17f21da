CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE VIEW overview WITH (security_invoker = true) AS SELECT id FROM documents;
CREATE VIEW counted WITH (security_invoker = false) AS SELECT count(*) AS documents FROM documents;
CREATE VIEW over_counted AS SELECT documents FROM counted;
CREATE TABLE countries (code text PRIMARY KEY);
CREATE VIEW countries_list AS SELECT code FROM countries;
