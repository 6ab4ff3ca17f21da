-- A CMS with revisions. House: <singular>_id bigint keys, plural tables, enum types, deferred circular reference, updated_at by trigger.
CREATE SCHEMA cms;
CREATE TYPE cms.page_status AS ENUM ('draft', 'review', 'published', 'withdrawn');

CREATE TABLE cms.authors (
    author_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL CHECK (email = lower(email)),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (email)
);

CREATE TABLE cms.pages (
    page_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id bigint REFERENCES cms.pages ON DELETE RESTRICT,
    slug text NOT NULL,
    status cms.page_status NOT NULL DEFAULT 'draft',
    current_revision_id bigint NOT NULL,
    published_at timestamptz,
    deleted_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pages_published_has_time CHECK (status <> 'published' OR published_at IS NOT NULL)
);
CREATE UNIQUE INDEX pages_slug_key ON cms.pages (coalesce(parent_id, 0), slug) WHERE deleted_at IS NULL;
CREATE INDEX pages_parent_id_idx ON cms.pages (parent_id);
CREATE INDEX pages_current_revision_id_idx ON cms.pages (current_revision_id);
CREATE INDEX pages_published_idx ON cms.pages (published_at DESC) WHERE status = 'published' AND deleted_at IS NULL;

CREATE TABLE cms.revisions (
    revision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    page_id bigint NOT NULL REFERENCES cms.pages ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    version integer NOT NULL CHECK (version > 0),
    author_id bigint NOT NULL REFERENCES cms.authors,
    title text NOT NULL,
    lead text,
    body text NOT NULL,
    blocks jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(blocks) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now(),
    document tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', coalesce(lead, '') || ' ' || body), 'B')
    ) STORED,
    UNIQUE (page_id, version)
);
CREATE INDEX revisions_author_id_idx ON cms.revisions (author_id);
CREATE INDEX revisions_document_idx ON cms.revisions USING gin (document);
ALTER TABLE cms.pages ADD FOREIGN KEY (current_revision_id) REFERENCES cms.revisions DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE cms.tags (
    tag_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    label text NOT NULL UNIQUE
);
CREATE TABLE cms.page_tags (
    page_id bigint NOT NULL REFERENCES cms.pages ON DELETE CASCADE,
    tag_id bigint NOT NULL REFERENCES cms.tags ON DELETE CASCADE,
    position smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (page_id, tag_id)
);
CREATE INDEX page_tags_tag_id_idx ON cms.page_tags (tag_id, page_id);

CREATE TABLE cms.redirects (
    path text PRIMARY KEY CHECK (path LIKE '/%'),
    target text NOT NULL,
    is_permanent boolean NOT NULL DEFAULT true,
    hits bigint NOT NULL DEFAULT 0
);

CREATE FUNCTION cms.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON cms.pages FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION cms.touch();
CREATE TRIGGER touch BEFORE UPDATE ON cms.authors FOR EACH ROW EXECUTE FUNCTION cms.touch();

CREATE MATERIALIZED VIEW cms.popular AS
    SELECT p.page_id, r.title, p.published_at FROM cms.pages p JOIN cms.revisions r ON r.revision_id = p.current_revision_id;
CREATE UNIQUE INDEX popular_page_id_key ON cms.popular (page_id);
