CREATE TABLE documents (id bigint PRIMARY KEY, owner text);
CREATE MATERIALIZED VIEW totals AS SELECT owner, count(*) AS documents FROM documents GROUP BY owner;
