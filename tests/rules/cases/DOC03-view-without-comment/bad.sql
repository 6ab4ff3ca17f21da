CREATE VIEW today AS SELECT current_date AS day;
CREATE MATERIALIZED VIEW then_ AS SELECT current_date AS day;
