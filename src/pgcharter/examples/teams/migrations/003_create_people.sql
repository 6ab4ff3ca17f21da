-- Description: Users with profile, preferences and identity documents

CREATE TABLE app.users (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username VARCHAR(50) NOT NULL,
    email VARCHAR(255) NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    first_name VARCHAR(100),
    last_name VARCHAR(100),
    is_active BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT ck_users_username_format CHECK (username ~ '^[A-Za-z0-9_.-]+$'),
    CONSTRAINT ck_users_email_format CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT ck_users_password_hash_format CHECK (password_hash LIKE '$argon2id$%' OR password_hash = '*')
);

-- Ann@example.org and ann@example.org are one person. UNIQUE (email) would let both in, and would be a second index on the column.
CREATE UNIQUE INDEX idx_users_username ON app.users (lower(username));
CREATE UNIQUE INDEX idx_users_email ON app.users (lower(email));

CREATE TRIGGER trg_users_set_updated_at BEFORE UPDATE ON app.users
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

-- Reports need no password hashes and no addresses.
REVOKE SELECT ON app.users FROM app_readonly;
GRANT SELECT (id, username, is_active, created_at, updated_at) ON app.users TO app_readonly;

COMMENT ON TABLE app.users IS 'People who have an account';
COMMENT ON COLUMN app.users.id IS 'Key, stable for life; names and addresses may change';
COMMENT ON COLUMN app.users.username IS 'Name that others see; unique whatever its case';
COMMENT ON COLUMN app.users.email IS 'Address for signing in and for messages; unique whatever its case';
COMMENT ON COLUMN app.users.password_hash IS 'Argon2id hash, or * for an account that no password opens; never the password';
COMMENT ON COLUMN app.users.first_name IS 'Given name, where the user tells it';
COMMENT ON COLUMN app.users.last_name IS 'Family name, where the user tells it';
COMMENT ON COLUMN app.users.is_active IS 'Whether the user may sign in';
COMMENT ON COLUMN app.users.created_at IS 'When the account was opened';
COMMENT ON COLUMN app.users.updated_at IS 'When the row last changed';

-- One profile for each user at most: user_id is unique, and that index also serves the foreign key.
CREATE TABLE app.profiles (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    biography TEXT,
    preferences JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_profiles_user_id UNIQUE (user_id),
    CONSTRAINT fk_profiles_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    CONSTRAINT ck_profiles_preferences_object CHECK (jsonb_typeof(preferences) = 'object')
);

CREATE TRIGGER trg_profiles_set_updated_at BEFORE UPDATE ON app.profiles
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

COMMENT ON TABLE app.profiles IS 'What users say of themselves, and how they like to see the platform';
COMMENT ON COLUMN app.profiles.id IS 'Key of the profile, which may be shown without naming the account';
COMMENT ON COLUMN app.profiles.user_id IS 'Whose profile it is; it goes with the account';
COMMENT ON COLUMN app.profiles.biography IS 'Some words about oneself';
COMMENT ON COLUMN app.profiles.preferences IS 'How pages look for this user (theme, language, density): read whole with the profile, never searched';
COMMENT ON COLUMN app.profiles.created_at IS 'When the profile was written first';
COMMENT ON COLUMN app.profiles.updated_at IS 'When the row last changed';

-- Preferences that jobs look for ("who wants a weekly digest?") are rows; what only the user's own pages need is in the profile.
CREATE TABLE app.user_preferences (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    preference_key VARCHAR(100) NOT NULL,
    preference_value JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_user_preferences_user_id_preference_key UNIQUE (user_id, preference_key),
    CONSTRAINT fk_user_preferences_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    CONSTRAINT ck_user_preferences_preference_key_format CHECK (preference_key ~ '^[a-z]+(\.[a-z_]+)*$')
);

-- The unique key begins with user_id and serves the foreign key; this one serves the jobs.
CREATE INDEX idx_user_preferences_preference_key_preference_value ON app.user_preferences (preference_key, preference_value);

CREATE TRIGGER trg_user_preferences_set_updated_at BEFORE UPDATE ON app.user_preferences
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

COMMENT ON TABLE app.user_preferences IS 'Preferences that jobs search for over all users';
COMMENT ON COLUMN app.user_preferences.id IS 'Stable key for interfaces that address one preference';
COMMENT ON COLUMN app.user_preferences.user_id IS 'Whose preference it is';
COMMENT ON COLUMN app.user_preferences.preference_key IS 'What is preferred, in words joined by dots: digest.frequency';
COMMENT ON COLUMN app.user_preferences.preference_value IS 'The preferred value, a JSON string, number or boolean';
COMMENT ON COLUMN app.user_preferences.created_at IS 'When the preference was set first';
COMMENT ON COLUMN app.user_preferences.updated_at IS 'When the row last changed';

-- The application encrypts before it sends, with a key that the database never sees: neither a statement in the log nor a copy of
-- the database gives the number away. Ciphertext is bytes, so the column is BYTEA.
CREATE TABLE app.identity_documents (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    document_kind VARCHAR(20) NOT NULL,
    number_ciphertext BYTEA NOT NULL,
    expires_on DATE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_identity_documents_user_id_document_kind UNIQUE (user_id, document_kind),
    CONSTRAINT fk_identity_documents_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    CONSTRAINT ck_identity_documents_document_kind CHECK (document_kind IN ('passport', 'identity_card', 'driving_licence')),
    CONSTRAINT ck_identity_documents_number_ciphertext_length CHECK (octet_length(number_ciphertext) BETWEEN 29 AND 255)
);

CREATE TRIGGER trg_identity_documents_set_updated_at BEFORE UPDATE ON app.identity_documents
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

REVOKE ALL ON app.identity_documents FROM app_readonly;

COMMENT ON TABLE app.identity_documents IS 'Documents by which a user proved who they are';
COMMENT ON COLUMN app.identity_documents.id IS 'Key, which the application binds the ciphertext to';
COMMENT ON COLUMN app.identity_documents.user_id IS 'Whose document it is; it is forgotten with the account';
COMMENT ON COLUMN app.identity_documents.document_kind IS 'What was shown';
COMMENT ON COLUMN app.identity_documents.number_ciphertext IS 'Its number, encrypted by the application: nonce, ciphertext and tag of AES-GCM';
COMMENT ON COLUMN app.identity_documents.expires_on IS 'Last day it is valid; null when it says none';
COMMENT ON COLUMN app.identity_documents.created_at IS 'When it was shown';
COMMENT ON COLUMN app.identity_documents.updated_at IS 'When the row last changed';
