-- Description: Content items and the comments on them

-- Content is made on several devices, some of them offline, so its keys are UUIDs.
CREATE TABLE app.content_items (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id BIGINT NOT NULL,
    team_id BIGINT,
    title VARCHAR(255) NOT NULL,
    body TEXT,
    status VARCHAR(20) NOT NULL DEFAULT 'draft',
    view_count INTEGER NOT NULL DEFAULT 0,
    metadata JSONB NOT NULL DEFAULT '{}',
    published_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_content_items_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    CONSTRAINT fk_content_items_team_id FOREIGN KEY (team_id) REFERENCES app.teams (id) ON DELETE SET NULL,
    CONSTRAINT ck_content_items_status CHECK (status IN ('draft', 'published', 'archived')),
    CONSTRAINT ck_content_items_published_at_set CHECK (status = 'draft' OR published_at IS NOT NULL),
    CONSTRAINT ck_content_items_view_count_not_negative CHECK (view_count >= 0),
    CONSTRAINT ck_content_items_metadata_object CHECK (jsonb_typeof(metadata) = 'object')
);

CREATE INDEX idx_content_items_user_id ON app.content_items (user_id);
CREATE INDEX idx_content_items_team_id ON app.content_items (team_id);

-- The front page: published items, newest first. Drafts and archived items are not in the index, and id decides between equal times.
CREATE INDEX idx_content_items_published ON app.content_items (published_at, id) WHERE status = 'published';

-- Search by topic: metadata @> '{"topics": ["chess"]}'
CREATE INDEX idx_content_items_metadata ON app.content_items USING gin (metadata jsonb_path_ops);

CREATE TRIGGER trg_content_items_set_updated_at BEFORE UPDATE ON app.content_items
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

COMMENT ON TABLE app.content_items IS 'What users write and share';
COMMENT ON COLUMN app.content_items.id IS 'Key, made by the database or by a device that was offline';
COMMENT ON COLUMN app.content_items.user_id IS 'Who wrote it';
COMMENT ON COLUMN app.content_items.team_id IS 'For which team it was written; null when for none, or for a team that is gone';
COMMENT ON COLUMN app.content_items.title IS 'Headline';
COMMENT ON COLUMN app.content_items.body IS 'The text, in Markdown';
COMMENT ON COLUMN app.content_items.status IS 'Where it stands in its life';
COMMENT ON COLUMN app.content_items.view_count IS 'How often it was read, brought up to date from the activities every hour';
COMMENT ON COLUMN app.content_items.metadata IS 'Topics, language and what else its kind of content needs, a JSON object';
COMMENT ON COLUMN app.content_items.published_at IS 'When it was published first; null for a draft';
COMMENT ON COLUMN app.content_items.created_at IS 'When it was begun';
COMMENT ON COLUMN app.content_items.updated_at IS 'When the row last changed';

CREATE TABLE app.comments (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    content_item_id UUID NOT NULL,
    user_id BIGINT NOT NULL,
    parent_comment_id BIGINT,
    content TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_comments_content_item_id_id UNIQUE (content_item_id, id),
    CONSTRAINT fk_comments_content_item_id FOREIGN KEY (content_item_id) REFERENCES app.content_items (id) ON DELETE CASCADE,
    CONSTRAINT fk_comments_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    -- An answer belongs to the same content item as what it answers. When that is deleted, only the reference to it is lost.
    CONSTRAINT fk_comments_parent_comment_id FOREIGN KEY (content_item_id, parent_comment_id)
        REFERENCES app.comments (content_item_id, id) ON DELETE SET NULL (parent_comment_id),
    CONSTRAINT ck_comments_parent_comment_id_other CHECK (parent_comment_id <> id),
    CONSTRAINT ck_comments_content_length CHECK (length(content) BETWEEN 1 AND 10000)
);

CREATE INDEX idx_comments_user_id ON app.comments (user_id);
CREATE INDEX idx_comments_content_item_id_parent_comment_id ON app.comments (content_item_id, parent_comment_id);

CREATE TRIGGER trg_comments_set_updated_at BEFORE UPDATE ON app.comments
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

COMMENT ON TABLE app.comments IS 'What readers say to a content item and to each other';
COMMENT ON COLUMN app.comments.id IS 'Key; later comments have higher numbers';
COMMENT ON COLUMN app.comments.content_item_id IS 'What is commented';
COMMENT ON COLUMN app.comments.user_id IS 'Who says it';
COMMENT ON COLUMN app.comments.parent_comment_id IS 'The comment it answers, on the same content item; null when it answers none';
COMMENT ON COLUMN app.comments.content IS 'What is said, plain text';
COMMENT ON COLUMN app.comments.created_at IS 'When it was said';
COMMENT ON COLUMN app.comments.updated_at IS 'When the row last changed';

-- Pages go on from the last row seen: OFFSET would read and throw away all earlier rows, and skip some while others write.
CREATE FUNCTION app.list_published(
    p_before timestamptz DEFAULT 'infinity',
    p_before_id uuid DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    p_limit integer DEFAULT 20
) RETURNS TABLE (id uuid, title varchar, username varchar, published_at timestamptz, comment_count bigint)
LANGUAGE sql
STABLE
AS $$
    SELECT i.id, i.title, u.username, i.published_at,
        (SELECT count(*) FROM app.comments AS c WHERE c.content_item_id = i.id)
    FROM app.content_items AS i
    JOIN app.users AS u ON u.id = i.user_id
    WHERE i.status = 'published' AND (i.published_at, i.id) < (p_before, p_before_id)
    ORDER BY i.published_at DESC, i.id DESC
    LIMIT least(p_limit, 100)
$$;

GRANT EXECUTE ON FUNCTION app.list_published(timestamptz, uuid, integer) TO app_readonly, app_readwrite, app_admin;
COMMENT ON FUNCTION app.list_published(timestamptz, uuid, integer) IS
    'A page of published items, newest first; the next page begins after published_at and id of the last row of this one';
