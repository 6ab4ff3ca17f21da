CREATE TABLE watched (relid oid PRIMARY KEY, table_oid oid, role oid, relation regclass);
CREATE TABLE articles (id bigint PRIMARY KEY, body text, image bytea);
CREATE FUNCTION remove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lo_unlink(OLD.photo);
    RETURN OLD;
END $$;
CREATE TABLE people (id bigint PRIMARY KEY, photo oid);
CREATE TRIGGER remove BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION remove();
-- the oid of something else
CREATE TABLE described (data_type oid PRIMARY KEY, content_type oid, text_config oid, document_table oid, file_owner oid, body_language oid);
