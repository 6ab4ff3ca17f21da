CREATE SCHEMA info;
CREATE TABLE info.data (id bigint PRIMARY KEY, type text, "Info" text);
CREATE VIEW info.type AS SELECT id FROM info.data;
