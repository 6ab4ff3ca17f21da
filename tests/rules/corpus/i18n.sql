-- Translated texts, many-to-many with payload, polymorphic comments. House: `<table>_id`, composite keys, country and language codes.
CREATE TABLE languages (
    language_code varchar(10) PRIMARY KEY,
    native_name text NOT NULL
);
CREATE TABLE countries (
    country_code char(2) PRIMARY KEY,
    name text NOT NULL UNIQUE,
    eu_member boolean NOT NULL DEFAULT false
);
CREATE TABLE articles (
    article_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id text UNIQUE,
    source_id bigint,
    canonical_language varchar(10) NOT NULL REFERENCES languages,
    views bigint NOT NULL DEFAULT 0
);
CREATE TABLE article_translations (
    article_id bigint NOT NULL REFERENCES articles ON DELETE CASCADE,
    language_code varchar(10) NOT NULL REFERENCES languages,
    title text NOT NULL,
    summary text,
    body text NOT NULL,
    translated_by text,
    is_machine_made boolean NOT NULL DEFAULT false,
    PRIMARY KEY (article_id, language_code)
);
CREATE INDEX article_translations_search ON article_translations
    USING gin (to_tsvector('simple', title || ' ' || coalesce(summary, '') || ' ' || body));

CREATE TABLE people (
    person_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    country_code char(2) REFERENCES countries
);
CREATE TABLE contributions (
    article_id bigint NOT NULL REFERENCES articles ON DELETE CASCADE,
    person_id bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('author', 'editor', 'photographer')),
    share numeric(5, 4) CHECK (share > 0 AND share <= 1),
    position smallint NOT NULL DEFAULT 1,
    PRIMARY KEY (article_id, person_id, role)
);
CREATE INDEX contributions_person ON contributions (person_id);

-- Comments on anything: kind and key of the thing, no foreign key possible.
CREATE TABLE comments (
    comment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_type text NOT NULL CHECK (subject_type IN ('article', 'person')),
    subject_id bigint NOT NULL,
    article_type text,
    parent_id bigint REFERENCES comments ON DELETE CASCADE,
    author_id bigint NOT NULL REFERENCES people,
    body text NOT NULL,
    posted_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX comments_subject ON comments (subject_type, subject_id, posted_at) WHERE deleted_at IS NULL;
CREATE INDEX comments_parent ON comments (parent_id);
CREATE INDEX comments_author ON comments (author_id);

-- Or exclusive arcs: one column each, exactly one of them filled.
CREATE TABLE bookmarks (
    bookmark_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES people ON DELETE CASCADE,
    article_id bigint REFERENCES articles ON DELETE CASCADE,
    person_id bigint REFERENCES people ON DELETE CASCADE,
    CHECK (num_nonnulls(article_id, person_id) = 1),
    UNIQUE NULLS NOT DISTINCT (owner_id, article_id, person_id)
);
CREATE INDEX bookmarks_article ON bookmarks (article_id) WHERE article_id IS NOT NULL;
CREATE INDEX bookmarks_person ON bookmarks (person_id) WHERE (person_id IS NOT NULL);

CREATE TABLE country_names (
    country_code char(2) NOT NULL REFERENCES countries ON DELETE CASCADE,
    language_code varchar(10) NOT NULL REFERENCES languages ON DELETE CASCADE,
    name text NOT NULL,
    PRIMARY KEY (country_code, language_code)
);
