-- Migration: Seed the blog
-- Description: Some hundred rows for development, the same keys on every machine; never for production

-- Up Migration
BEGIN;

-- Nobody can sign in with these hashes: they are not the hash of anything.
INSERT INTO users (id, email, username, password_hash, created_at)
SELECT md5('user ' || n)::uuid, 'reader' || n || '@example.org', 'reader_' || n,
    '$argon2id$v=19$m=65536,t=3,p=4$c2VlZHNlZWRzZWVk$' || md5('password ' || n), now() - make_interval(days => 90 - n)
FROM generate_series(1, 30) AS n;

INSERT INTO user_roles (user_id, role_id)
SELECT md5('user ' || n)::uuid, r.id
FROM generate_series(1, 30) AS n
JOIN roles AS r ON r.name = 'user' OR (r.name = 'author' AND n <= 6) OR (r.name = 'moderator' AND n = 1);

INSERT INTO sessions (user_id, token_hash, expires_at)
SELECT md5('user ' || n)::uuid, sha256(('token ' || n)::bytea), now() + make_interval(days => 14)
FROM generate_series(1, 20) AS n;

INSERT INTO posts (id, user_id, title, slug, content, status, published_at, created_at)
SELECT md5('post ' || n)::uuid, md5('user ' || (n % 6 + 1))::uuid,
    (ARRAY['Notes on', 'A walk through', 'What nobody says about', 'First steps with'])[n % 4 + 1] || ' '
        || (ARRAY['gardens', 'slow bread', 'night trains', 'small databases', 'old maps'])[n % 5 + 1],
    'post-' || n,
    'Post number ' || n || ' says what its title promises, at some length and with a few examples.',
    CASE WHEN n % 5 = 0 THEN 'draft' ELSE 'published' END,
    CASE WHEN n % 5 > 0 THEN now() - make_interval(days => 60 - n) END,
    now() - make_interval(days => 61 - n)
FROM generate_series(1, 60) AS n;

INSERT INTO comments (id, post_id, user_id, parent_comment_id, content, created_at)
SELECT md5('comment ' || n)::uuid, md5('post ' || (n % 20 + 1))::uuid, md5('user ' || (n % 30 + 1))::uuid,
    CASE WHEN n > 60 THEN md5('comment ' || (n - 60))::uuid END,
    'Comment number ' || n || ': well said.', now() - make_interval(hours => 240 - n)
FROM generate_series(1, 120) AS n;

INSERT INTO donations (post_id, user_id, amount, currency_code)
SELECT md5('post ' || n)::uuid, md5('user ' || (n + 6))::uuid, n * 2.5, 'EUR'
FROM generate_series(1, 20) AS n;

INSERT INTO events (post_id, user_id, event_type, event_data, created_at)
SELECT md5('post ' || (n % 60 + 1))::uuid, CASE WHEN n % 3 > 0 THEN md5('user ' || (n % 30 + 1))::uuid END,
    (ARRAY['viewed', 'viewed', 'viewed', 'liked', 'shared'])[n % 5 + 1], jsonb_build_object('seconds', n % 300),
    greatest(now() - make_interval(hours => n), '2026-01-01 00:00:00+00')
FROM generate_series(1, 300) AS n;

COMMIT;

-- Down Migration
BEGIN;

DELETE FROM events WHERE post_id IN (SELECT md5('post ' || n)::uuid FROM generate_series(1, 60) AS n);
DELETE FROM donations WHERE post_id IN (SELECT md5('post ' || n)::uuid FROM generate_series(1, 60) AS n);
DELETE FROM posts WHERE id IN (SELECT md5('post ' || n)::uuid FROM generate_series(1, 60) AS n);
DELETE FROM users WHERE id IN (SELECT md5('user ' || n)::uuid FROM generate_series(1, 30) AS n);

COMMIT;
