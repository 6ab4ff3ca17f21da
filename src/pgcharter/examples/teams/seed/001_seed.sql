-- Description: A few hundred invented rows, the same every time; kept apart from the migrations because production must not have them

INSERT INTO app.users (username, email, password_hash, first_name, last_name, is_active, created_at)
SELECT
    lower(first_name) || n,
    lower(first_name) || n || '@example.org',
    '*',
    first_name,
    last_name,
    n % 15 <> 0,
    timestamptz '2026-01-05 08:00Z' + n * interval '31 hours'
FROM generate_series(1, 60) AS n
CROSS JOIN LATERAL (
    SELECT
        (ARRAY['Ada', 'Ben', 'Cleo', 'Dara', 'Emil', 'Fay', 'Gus', 'Hana', 'Ivo', 'June'])[1 + n % 10],
        (ARRAY['Abara', 'Berg', 'Costa', 'Dunn', 'Eriksen', 'Fuchs', 'Gomez'])[1 + n % 7]
) AS names (first_name, last_name);

INSERT INTO app.profiles (user_id, biography, preferences)
SELECT
    id,
    CASE WHEN id % 3 <> 0 THEN 'Likes ' || (ARRAY['chess', 'gardens', 'old maps', 'bread', 'trains'])[1 + id % 5] END,
    jsonb_build_object('theme', CASE WHEN id % 2 = 0 THEN 'dark' ELSE 'light' END, 'language', (ARRAY['en', 'de', 'pt'])[1 + id % 3])
FROM app.users;

INSERT INTO app.user_preferences (user_id, preference_key, preference_value)
SELECT id, 'digest.frequency', to_jsonb((ARRAY['daily', 'weekly', 'never'])[1 + id % 3])
FROM app.users
UNION ALL
SELECT id, 'notification.sound', to_jsonb(id % 4 = 0)
FROM app.users WHERE id % 2 = 0;

INSERT INTO app.teams (name, description, created_at)
SELECT name, 'People who care about ' || lower(name), timestamptz '2026-02-01 12:00Z' + n * interval '5 days'
FROM unnest(ARRAY['Chess', 'Gardens', 'Old maps', 'Bread', 'Trains', 'Birds', 'Radio', 'Bicycles', 'Tea', 'Stars'])
    WITH ORDINALITY AS t (name, n);

-- The one who was there first owns the team.
INSERT INTO app.users_teams (user_id, team_id, role, joined_at)
SELECT
    u.id,
    t.id,
    CASE row_number() OVER (PARTITION BY t.id ORDER BY u.id) WHEN 1 THEN 'owner' WHEN 2 THEN 'maintainer' ELSE 'member' END,
    t.created_at + u.id * interval '7 hours'
FROM app.users AS u
JOIN app.teams AS t ON (u.id * 7 + t.id * 3) % 5 = 0;

INSERT INTO app.content_items (id, user_id, team_id, title, body, status, metadata, published_at, created_at)
SELECT
    md5('content item ' || n)::uuid,
    1 + n * 11 % 60,
    CASE WHEN n % 3 <> 0 THEN 1 + n % 10 END,
    (ARRAY['Notes on', 'A question about', 'Ten years of', 'Against', 'In praise of'])[1 + n % 5] || ' '
        || (ARRAY['chess', 'gardens', 'old maps', 'bread', 'trains', 'birds', 'radio'])[1 + n % 7],
    'It began on a Monday, and it is not finished yet.',
    CASE WHEN n % 8 = 0 THEN 'archived' WHEN n % 5 = 0 THEN 'draft' ELSE 'published' END,
    jsonb_build_object('topics', jsonb_build_array((ARRAY['chess', 'gardens', 'old maps', 'bread', 'trains', 'birds', 'radio'])[1 + n % 7])),
    CASE WHEN n % 8 = 0 OR n % 5 <> 0 THEN timestamptz '2026-05-01 09:00Z' + n * interval '17 hours' END,
    timestamptz '2026-04-30 09:00Z' + n * interval '17 hours'
FROM generate_series(1, 80) AS n;

INSERT INTO app.comments (content_item_id, user_id, content, created_at)
SELECT
    i.id,
    1 + (i.number * 13 + n * 7) % 60,
    (ARRAY['I see it the same way.', 'Really?', 'Thank you for this.', 'There is more to say about it.'])[1 + (i.number + n) % 4],
    i.published_at + n * interval '3 hours'
FROM (SELECT id, published_at, row_number() OVER (ORDER BY created_at) AS number FROM app.content_items WHERE status = 'published') AS i
CROSS JOIN generate_series(1, 2) AS n
ORDER BY i.number, n;

INSERT INTO app.comments (content_item_id, user_id, parent_comment_id, content, created_at)
SELECT content_item_id, 1 + user_id % 60, id, 'Tell me more.', created_at + interval '1 hour'
FROM app.comments WHERE id % 4 = 0;

INSERT INTO app.user_activities (user_id, activity_type, data, ip_address, created_at)
SELECT id, 'login', '{"source": "web"}', ('2001:db8::' || id)::inet, created_at + interval '1 day'
FROM app.users WHERE is_active;

INSERT INTO app.user_activities (user_id, activity_type, entity_type, entity_id, data, created_at)
SELECT c.user_id, 'comment', 'content_item', c.content_item_id::text, '{"source": "mobile"}', c.created_at
FROM app.comments AS c
ORDER BY c.created_at;

-- What a tenant owns is written in a transaction of that tenant. One block is one transaction, also where statements run one by one.
DO $$
DECLARE
    tenant uuid;
BEGIN
    FOR n IN 1 .. 3 LOOP
        tenant := ('00000000-0000-4000-8000-00000000000' || n)::uuid;
        PERFORM app.set_tenant_context(tenant);
        INSERT INTO app.tenants (id, name) VALUES (tenant, (ARRAY['Aster Library', 'Birch College', 'Cedar Institute'])[n]);
        INSERT INTO app.tenant_users (tenant_id, username, email)
        SELECT tenant, 'reader' || u, 'reader' || u || '@tenant' || n || '.example.org'
        FROM generate_series(1, 8 + n) AS u;
    END LOOP;
END
$$;

-- View counts come from the activities, as in every later hour.
UPDATE app.content_items AS i
SET view_count = v.views
FROM (SELECT entity_id::uuid AS id, count(*) * 3 AS views FROM app.user_activities WHERE entity_type = 'content_item' GROUP BY 1) AS v
WHERE v.id = i.id;
