CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, deleted_at timestamptz, removed_at timestamptz NOT NULL DEFAULT 'infinity');
CREATE UNIQUE INDEX ON users (email) WHERE deleted_at IS NULL;
CREATE INDEX ON users (email) WHERE deleted_at IS NULL OR removed_at IS NULL;
CREATE INDEX ON users (email) WHERE removed_at = 'infinity';
CREATE INDEX ON users (id) WHERE email <> 'removed_at IS NULL';
CREATE INDEX ON users (id) WHERE (removed_at IS NULL AND email = '') IS NOT TRUE;
CREATE INDEX ON users (id) WHERE NOT (removed_at IS NULL AND email = '');
CREATE INDEX ON users (id) WHERE CASE WHEN removed_at IS NULL THEN false ELSE deleted_at IS NULL AND email <> '' END;
-- required from now on (18); old rows are still to be filled in
CREATE TABLE late (id bigint PRIMARY KEY, told text);
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'ALTER TABLE late ADD CONSTRAINT late_told NOT NULL told NOT VALID';
    END IF;
END $$;
CREATE INDEX ON late (id) WHERE told IS NULL;
CREATE INDEX ON late (told) WHERE told IS NOT NULL;
