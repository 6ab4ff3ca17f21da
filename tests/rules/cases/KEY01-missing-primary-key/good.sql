CREATE SCHEMA app;

CREATE TABLE app.notes (
    note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body text NOT NULL
);

-- a key added afterwards is a key
CREATE TABLE app.tags (
    tag_id uuid NOT NULL DEFAULT gen_random_uuid(),
    label text NOT NULL UNIQUE
);
ALTER TABLE ONLY app.tags ADD CONSTRAINT tags_pkey PRIMARY KEY (tag_id);

-- a join table's key is the pair
CREATE TABLE app.note_tags (
    note_id bigint NOT NULL REFERENCES app.notes ON DELETE CASCADE,
    tag_id uuid NOT NULL REFERENCES app.tags ON DELETE CASCADE,
    PRIMARY KEY (note_id, tag_id)
);

-- exactly one row
CREATE TABLE app.settings (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    maintenance boolean NOT NULL DEFAULT false
);

-- a partition has the key of its parent
CREATE TABLE app.page_views (
    view_id bigint GENERATED ALWAYS AS IDENTITY,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (view_id, seen_at)
) PARTITION BY RANGE (seen_at);
CREATE TABLE app.page_views_2026 PARTITION OF app.page_views FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

-- staging for COPY, emptied after each load
CREATE UNLOGGED TABLE app.import_rows (
    line text
);

CREATE TEMPORARY TABLE wanted_ids (
    id bigint
);

-- the replica identity does what is asked of a key
CREATE TABLE tag_links (
    post_id bigint NOT NULL,
    tag_id bigint NOT NULL
);
CREATE UNIQUE INDEX tag_links_both ON tag_links (post_id, tag_id);
ALTER TABLE tag_links REPLICA IDENTITY USING INDEX tag_links_both;

-- attached to a table with a key, which it then has too
CREATE TABLE page_hits (hit_id bigint NOT NULL, seen_at timestamptz NOT NULL, PRIMARY KEY (hit_id, seen_at)) PARTITION BY RANGE (seen_at);
CREATE TABLE page_hits_old (seen_at timestamptz NOT NULL, hit_id bigint NOT NULL);
ALTER TABLE page_hits ATTACH PARTITION page_hits_old FOR VALUES FROM ('2020-01-01') TO ('2026-01-01');
