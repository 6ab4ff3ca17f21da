-- Description: Teams and who is in them

CREATE TABLE app.teams (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    description TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT ck_teams_name_not_blank CHECK (btrim(name) <> '')
);

CREATE UNIQUE INDEX idx_teams_name ON app.teams (lower(name));

CREATE TRIGGER trg_teams_set_updated_at BEFORE UPDATE ON app.teams
    FOR EACH ROW EXECUTE FUNCTION app.set_updated_at();

COMMENT ON TABLE app.teams IS 'Groups of users who work on something together';
COMMENT ON COLUMN app.teams.id IS 'Key, stable when the team is renamed';
COMMENT ON COLUMN app.teams.name IS 'What the team calls itself; unique whatever its case';
COMMENT ON COLUMN app.teams.description IS 'What the team is about';
COMMENT ON COLUMN app.teams.created_at IS 'When the team was founded';
COMMENT ON COLUMN app.teams.updated_at IS 'When the row last changed';

-- A join table needs no key of its own: the pair is the key. What is known of the membership stands beside it.
CREATE TABLE app.users_teams (
    user_id BIGINT NOT NULL,
    team_id BIGINT NOT NULL,
    role VARCHAR(50) NOT NULL DEFAULT 'member',
    joined_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, team_id),
    CONSTRAINT fk_users_teams_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    CONSTRAINT fk_users_teams_team_id FOREIGN KEY (team_id) REFERENCES app.teams (id) ON DELETE CASCADE,
    CONSTRAINT ck_users_teams_role CHECK (role IN ('member', 'maintainer', 'owner'))
);

-- The primary key begins with user_id. Without this index "who is in this team?" reads every membership there is.
CREATE INDEX idx_users_teams_team_id ON app.users_teams (team_id);

COMMENT ON TABLE app.users_teams IS 'Who is in which team';
COMMENT ON COLUMN app.users_teams.user_id IS 'Who is a member; a membership goes with the user';
COMMENT ON COLUMN app.users_teams.team_id IS 'What the user is a member of; a membership goes with the team';
COMMENT ON COLUMN app.users_teams.role IS 'What the member may do in the team';
COMMENT ON COLUMN app.users_teams.joined_at IS 'Since when the user has been a member';
