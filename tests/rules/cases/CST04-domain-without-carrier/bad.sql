CREATE TABLE products (id bigint PRIMARY KEY);
CREATE TABLE prices (id bigint PRIMARY KEY, product_id bigint NOT NULL REFERENCES products);
CREATE TABLE documents (id bigint PRIMARY KEY);
CREATE TABLE pages (id bigint PRIMARY KEY);
CREATE PUBLICATION search FOR TABLE documents;
CREATE TABLE preferences (id bigint PRIMARY KEY, updated_at timestamptz);
CREATE TABLE preferences_audit (id bigint, at timestamptz);
-- keeps a time and an audit trail: nobody else is told
CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log VALUES (NEW.id, now());
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER kept BEFORE INSERT OR UPDATE ON preferences FOR EACH ROW EXECUTE FUNCTION kept();
CREATE TABLE sales (id bigint PRIMARY KEY, day date NOT NULL);
CREATE MATERIALIZED VIEW sales_by_day AS SELECT day, count(*) AS sales FROM sales GROUP BY day;
-- two publications lose the order between the two tables
CREATE TABLE messages (id bigint PRIMARY KEY);
CREATE TABLE replies (id bigint PRIMARY KEY, message_id bigint NOT NULL REFERENCES messages);
CREATE PUBLICATION chat FOR TABLE messages;
CREATE PUBLICATION chat_replies FOR TABLE replies;
CREATE TABLE threads (id bigint PRIMARY KEY, version integer);
CREATE TABLE "Old ""Pages""" (id bigint PRIMARY KEY);
