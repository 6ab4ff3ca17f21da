CREATE TABLE products (id bigint PRIMARY KEY);
CREATE TABLE prices (id bigint PRIMARY KEY, product_id bigint NOT NULL REFERENCES products);
CREATE TABLE tags (id bigint PRIMARY KEY);
CREATE PUBLICATION catalogue FOR TABLE products, prices (id, product_id) WITH (publish = 'insert, update');
CREATE TABLE changes (kind text, id bigint, at timestamptz);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes VALUES (TG_TABLE_NAME, NEW.id, now());
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE documents (id bigint PRIMARY KEY);
CREATE TABLE pages (id bigint, day date) PARTITION BY RANGE (day);
CREATE PUBLICATION search FOR TABLES IN SCHEMA public;
CREATE TABLE preferences (id bigint PRIMARY KEY);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('preferences', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER shout AFTER INSERT OR UPDATE OR DELETE ON preferences FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TABLE sales (id bigint PRIMARY KEY, day date NOT NULL);
CREATE MATERIALIZED VIEW sales_by_day AS SELECT day, count(*) AS sales FROM sales GROUP BY day;
CREATE UNIQUE INDEX ON sales_by_day (day);
CREATE TABLE messages (id bigint PRIMARY KEY);
CREATE TABLE replies (id bigint PRIMARY KEY, message_id bigint NOT NULL REFERENCES messages);
CREATE TABLE threads (id bigint PRIMARY KEY, version integer NOT NULL);
