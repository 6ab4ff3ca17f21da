CREATE VIEW today AS SELECT current_date AS day;
COMMENT ON VIEW today IS 'The day in the session''s time zone.';
CREATE TABLE orders (id bigint PRIMARY KEY);
