CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE VIEW overview AS SELECT id FROM documents;
CREATE VIEW polite WITH (security_invoker = true) AS SELECT id, owner FROM documents;
CREATE VIEW over_polite AS SELECT id FROM polite;
