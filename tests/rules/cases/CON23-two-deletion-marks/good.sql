CREATE TABLE users (id bigint PRIMARY KEY, deleted_at timestamptz, is_deleted boolean GENERATED ALWAYS AS (deleted_at IS NOT NULL) STORED);
CREATE TABLE teams (
    id bigint PRIMARY KEY, deleted boolean NOT NULL DEFAULT false, deleted_at timestamptz, CHECK (deleted = (deleted_at IS NOT NULL))
);
CREATE TABLE notes (id bigint PRIMARY KEY, is_deleted boolean NOT NULL DEFAULT false, deleted_at timestamptz);
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.deleted_at := CASE WHEN NEW.is_deleted THEN coalesce(NEW.deleted_at, now()) END;
    RETURN NEW;
END $$;
CREATE TRIGGER mark BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION mark();
CREATE TABLE files (id bigint PRIMARY KEY, is_deleted boolean NOT NULL DEFAULT false);
