CREATE TABLE ledger (id bigint PRIMARY KEY);
CREATE RULE no_update AS ON UPDATE TO ledger DO INSTEAD NOTHING;
CREATE TABLE copies (id bigint);
CREATE RULE copy_of AS ON INSERT TO ledger DO ALSO INSERT INTO copies VALUES (new.id);
