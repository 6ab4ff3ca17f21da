CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, name text, city text, deleted_at timestamptz);
CREATE UNIQUE INDEX ON users (email) WHERE deleted_at IS NULL;
CREATE INDEX ON users (name) WHERE name IS NOT NULL;
CREATE INDEX ON users (city) WHERE email IS NOT NULL AND city IS NOT NULL;
-- required from now on (18); old rows are still to be filled in
CREATE TABLE late (id bigint PRIMARY KEY, told text);
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'ALTER TABLE late ADD CONSTRAINT late_told NOT NULL told NOT VALID';
    END IF;
END $$;
CREATE INDEX ON late (id) WHERE told IS NULL;
CREATE INDEX ON late (told) WHERE told IS NOT NULL;
