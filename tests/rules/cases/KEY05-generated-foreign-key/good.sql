CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id)
);

-- a shared key has no generator of its own
CREATE TABLE profiles (
    user_id bigint PRIMARY KEY REFERENCES users (id),
    biography text
);

-- a plain default is a choice
CREATE TABLE plans (
    plan smallint PRIMARY KEY
);
CREATE TABLE subscriptions (
    user_id bigint PRIMARY KEY REFERENCES users (id),
    plan smallint NOT NULL DEFAULT 1 REFERENCES plans (plan)
);

-- the current version of a document: the key is its own, and only the pair refers
CREATE TABLE documents (
    document_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    current_version integer NOT NULL DEFAULT 1
);
CREATE TABLE document_versions (
    document_id bigint NOT NULL REFERENCES documents (document_id),
    version integer NOT NULL,
    PRIMARY KEY (document_id, version)
);
ALTER TABLE documents ADD CONSTRAINT current_version_exists FOREIGN KEY (document_id, current_version)
    REFERENCES document_versions (document_id, version) DEFERRABLE INITIALLY DEFERRED;
