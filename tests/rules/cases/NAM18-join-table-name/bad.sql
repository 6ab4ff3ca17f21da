CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE teams (id bigint PRIMARY KEY);
CREATE TABLE tags (id bigint PRIMARY KEY);
CREATE TABLE memberships (
    user_id bigint REFERENCES users, team_id bigint REFERENCES teams, role text NOT NULL DEFAULT 'member', joined_at timestamptz,
    PRIMARY KEY (user_id, team_id)
);
CREATE TABLE user_tags (id bigint PRIMARY KEY, user_id bigint REFERENCES users, tag_id bigint REFERENCES tags, created_by bigint REFERENCES users,
    UNIQUE (tag_id, user_id));
CREATE TABLE "Team Tags" (tenant_id bigint, team_id bigint REFERENCES teams, tag_id bigint REFERENCES tags, PRIMARY KEY (tenant_id, team_id, tag_id));
