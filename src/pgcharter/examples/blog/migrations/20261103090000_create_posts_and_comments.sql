-- Migration: Create posts and comments
-- Description: What is written and said, with full-text search, and what readers give for it

-- Up Migration
BEGIN;

CREATE TABLE posts (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL,
    title VARCHAR(200) NOT NULL,
    slug VARCHAR(200) NOT NULL,
    content TEXT NOT NULL,
    status VARCHAR(20) NOT NULL DEFAULT 'draft',
    search_vector TSVECTOR NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', content), 'B')
    ) STORED,
    version INTEGER NOT NULL DEFAULT 1,
    published_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT fk_posts_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT chk_posts_status CHECK (status IN ('draft', 'published', 'archived')),
    CONSTRAINT chk_posts_slug_format CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    CONSTRAINT chk_posts_published_at CHECK (status = 'draft' OR published_at IS NOT NULL)
);

CREATE UNIQUE INDEX idx_posts_slug ON posts (slug) WHERE deleted_at IS NULL;
-- Posts of an author by state; serves the foreign key as well.
CREATE INDEX idx_posts_user_id_status ON posts (user_id, status);
-- The front page, page by page: WHERE (published_at, id) < (...) ORDER BY published_at DESC, id DESC LIMIT 20.
CREATE INDEX idx_posts_published ON posts (published_at DESC, id DESC) WHERE status = 'published' AND deleted_at IS NULL;
CREATE INDEX idx_posts_search ON posts USING gin (search_vector);

COMMENT ON TABLE posts IS 'What authors write, from draft to archive; deleted ones stay, marked by deleted_at';
COMMENT ON COLUMN posts.slug IS 'Last part of the address of the post; unique among living posts';
COMMENT ON COLUMN posts.search_vector IS 'Title and content as words to search for; PostgreSQL keeps it';
COMMENT ON COLUMN posts.version IS 'Counts the changes of the row, for optimistic locking';
COMMENT ON COLUMN posts.published_at IS 'When it appeared first; null for a draft';
COMMENT ON COLUMN posts.deleted_at IS 'When it was deleted; null while it lives';

CREATE TRIGGER trg_posts_set_updated_at BEFORE UPDATE ON posts
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_posts_count_version BEFORE UPDATE ON posts
    FOR EACH ROW EXECUTE FUNCTION count_version();

CREATE TABLE comments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    post_id UUID NOT NULL,
    user_id UUID NOT NULL,
    parent_comment_id UUID,
    content TEXT NOT NULL,
    status VARCHAR(20) NOT NULL DEFAULT 'visible',
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_comments_post_id_id UNIQUE (post_id, id),
    CONSTRAINT fk_comments_post_id FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE CASCADE,
    CONSTRAINT fk_comments_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    -- With the post in the key, an answer cannot stand under another post than what it answers.
    CONSTRAINT fk_comments_parent_comment_id FOREIGN KEY (post_id, parent_comment_id)
        REFERENCES comments (post_id, id) ON DELETE CASCADE,
    CONSTRAINT chk_comments_status CHECK (status IN ('visible', 'hidden', 'deleted')),
    CONSTRAINT chk_comments_content_length CHECK (char_length(content) BETWEEN 1 AND 10000)
);

CREATE INDEX idx_comments_post_id_parent_comment_id ON comments (post_id, parent_comment_id);
CREATE INDEX idx_comments_user_id_created_at ON comments (user_id, created_at);

COMMENT ON TABLE comments IS 'What readers say about posts, and about each other''s comments';
COMMENT ON COLUMN comments.parent_comment_id IS 'Comment that this one answers, under the same post; null for one about the post itself';
COMMENT ON COLUMN comments.status IS 'Soft deletion by state: answers of a deleted comment keep their place';

CREATE TRIGGER trg_comments_set_updated_at BEFORE UPDATE ON comments
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE donations (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    post_id UUID NOT NULL,
    user_id UUID NOT NULL,
    amount DECIMAL(19, 4) NOT NULL,
    currency_code VARCHAR(3) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_donations_post_id FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE RESTRICT,
    CONSTRAINT fk_donations_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT chk_donations_amount_positive CHECK (amount > 0),
    CONSTRAINT chk_donations_currency_code_format CHECK (currency_code ~ '^[A-Z]{3}$')
);

CREATE INDEX idx_donations_post_id ON donations (post_id);
CREATE INDEX idx_donations_user_id ON donations (user_id);

COMMENT ON TABLE donations IS 'What readers gave for a post; money that was paid is never changed, only added to';
COMMENT ON COLUMN donations.amount IS 'Amount in units of the currency';
COMMENT ON COLUMN donations.currency_code IS 'ISO 4217 code';

REVOKE UPDATE, DELETE ON donations FROM blog_writer;

COMMIT;

-- Down Migration
BEGIN;

DROP TABLE donations;
DROP TABLE comments;
DROP TABLE posts;

COMMIT;
