-- Soft deletion done right, e-mail in citext, settings per user. House: `id`, deleted_at, unique among the living.
CREATE EXTENSION IF NOT EXISTS citext;
CREATE DOMAIN email_address AS citext CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');

CREATE TABLE accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email email_address NOT NULL,
    recovery_email citext,
    invitation_token text UNIQUE,
    customer_number text NOT NULL UNIQUE,
    display_name text NOT NULL,
    signed_up_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX accounts_email_living ON accounts (email) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX accounts_recovery_email_living ON accounts (recovery_email) WHERE deleted_at IS NULL;
CREATE INDEX accounts_to_purge ON accounts (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE workspaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id uuid NOT NULL REFERENCES accounts (id),
    slug text NOT NULL,
    name text NOT NULL,
    deleted_at timestamptz,
    UNIQUE NULLS NOT DISTINCT (slug, deleted_at)
);
CREATE INDEX workspaces_owner ON workspaces (owner_id) WHERE deleted_at IS NULL;
CREATE INDEX workspaces_owner_all ON workspaces (owner_id);

CREATE TABLE notes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    title text NOT NULL,
    body text NOT NULL DEFAULT '',
    is_pinned boolean NOT NULL DEFAULT false,
    is_deleted boolean NOT NULL DEFAULT false,
    remind_at timestamptz
);
CREATE UNIQUE INDEX notes_title ON notes (workspace_id, title) WHERE NOT is_deleted;
CREATE INDEX notes_workspace ON notes (workspace_id);
CREATE INDEX notes_pinned ON notes (workspace_id, title) WHERE is_pinned AND NOT is_deleted;
CREATE INDEX notes_reminders ON notes (remind_at) WHERE remind_at IS NOT NULL AND NOT is_deleted;

CREATE VIEW living_accounts AS SELECT id, email, display_name FROM accounts WHERE deleted_at IS NULL WITH LOCAL CHECK OPTION;
CREATE VIEW living_notes AS SELECT n.* FROM notes n JOIN workspaces w ON w.id = n.workspace_id WHERE NOT n.is_deleted AND w.deleted_at IS NULL;

-- DELETE marks the row: the trigger does the UPDATE itself and cancels the DELETE on purpose.
CREATE FUNCTION mark_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts SET deleted_at = now() WHERE id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER mark_deleted BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION mark_deleted();

-- Newsletter: addresses are lower-cased on the way in.
CREATE TABLE subscribers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    confirmed_at timestamptz
);
CREATE FUNCTION fold_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.email := lower(trim(NEW.email));
    RETURN NEW;
END $$;
CREATE TRIGGER fold_email BEFORE INSERT OR UPDATE OF email ON subscribers FOR EACH ROW EXECUTE FUNCTION fold_email();
