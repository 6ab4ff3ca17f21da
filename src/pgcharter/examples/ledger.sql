-- name: install
CREATE SCHEMA IF NOT EXISTS pgcharter;
COMMENT ON SCHEMA pgcharter IS 'Records of pgcharter: what it has done to this database';
CREATE TABLE IF NOT EXISTS pgcharter.schema_migrations (
    version VARCHAR(255) PRIMARY KEY,
    applied_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    checksum VARCHAR(64) NOT NULL,
    description VARCHAR(1000)
);
COMMENT ON TABLE pgcharter.schema_migrations IS 'Migrations applied to this database';
COMMENT ON COLUMN pgcharter.schema_migrations.version IS 'File of the migration: its path in the project, without its suffix';
COMMENT ON COLUMN pgcharter.schema_migrations.applied_at IS 'When it was applied';
COMMENT ON COLUMN pgcharter.schema_migrations.checksum IS 'SHA-256 of the file as it was applied';
COMMENT ON COLUMN pgcharter.schema_migrations.description IS 'What it says of itself in its header';
CREATE TABLE IF NOT EXISTS pgcharter.fill_progress (
    fill_name VARCHAR(255) PRIMARY KEY,
    fill_version INTEGER NOT NULL,
    done_count BIGINT NOT NULL,
    loaded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT chk_fill_progress_done_count_not_negative CHECK (done_count >= 0)
);
COMMENT ON TABLE pgcharter.fill_progress IS 'How far the database has been filled with example data';
COMMENT ON COLUMN pgcharter.fill_progress.fill_name IS 'Name of the example';
COMMENT ON COLUMN pgcharter.fill_progress.fill_version IS 'Version of the generator; another one would make other rows';
COMMENT ON COLUMN pgcharter.fill_progress.done_count IS 'Main rows loaded, in the same transaction as this number';
COMMENT ON COLUMN pgcharter.fill_progress.loaded_at IS 'When the last batch was loaded'

-- name: record
INSERT INTO pgcharter.schema_migrations (version, checksum, description) VALUES (%s, %s, %s)

-- name: begin_fill
INSERT INTO pgcharter.fill_progress (fill_name, fill_version, done_count) VALUES (%s, %s, 0)

-- name: progress
SELECT fill_version, done_count FROM pgcharter.fill_progress WHERE fill_name = %s

-- name: advance
UPDATE pgcharter.fill_progress SET done_count = %s, loaded_at = clock_timestamp() WHERE fill_name = %s AND done_count = %s
