-- Description: What users do, only ever appended

CREATE TYPE app.activity_type AS ENUM ('login', 'logout', 'view', 'create', 'edit', 'comment');
COMMENT ON TYPE app.activity_type IS 'Kinds of activity';

CREATE TABLE app.user_activities (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id BIGINT NOT NULL,
    activity_type app.activity_type NOT NULL,
    entity_type VARCHAR(50),
    entity_id VARCHAR(36),
    data JSONB NOT NULL DEFAULT '{}',
    ip_address INET,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT fk_user_activities_user_id FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE CASCADE,
    CONSTRAINT ck_user_activities_entity_whole CHECK ((entity_type IS NULL) = (entity_id IS NULL)),
    CONSTRAINT ck_user_activities_data_object CHECK (jsonb_typeof(data) = 'object')
);

-- One user's activities in order of time. It begins with user_id, so it serves the foreign key as well.
CREATE INDEX idx_user_activities_user_id_created_at ON app.user_activities (user_id, created_at);
-- What happened to one thing
CREATE INDEX idx_user_activities_entity_type_entity_id ON app.user_activities (entity_type, entity_id) WHERE entity_type IS NOT NULL;
-- Rows arrive in order of time, so a BRIN index of a few pages finds a period.
CREATE INDEX idx_user_activities_created_at ON app.user_activities USING brin (created_at);
-- Logins are few among the activities: who came from this address?
CREATE INDEX idx_user_activities_logins ON app.user_activities (ip_address, created_at) WHERE activity_type = 'login';
-- Activities by the client that sent them
CREATE INDEX idx_user_activities_data_source ON app.user_activities ((data ->> 'source'));

-- What happened is not rewritten. Old rows are removed by the owner, or with their user.
REVOKE UPDATE, DELETE ON app.user_activities FROM app_readwrite, app_admin;

COMMENT ON TABLE app.user_activities IS 'What users did, append only';
COMMENT ON COLUMN app.user_activities.id IS 'Key; 64 bits, because rows never cease to come';
COMMENT ON COLUMN app.user_activities.user_id IS 'Who did it';
COMMENT ON COLUMN app.user_activities.activity_type IS 'What was done';
COMMENT ON COLUMN app.user_activities.entity_type IS 'Kind of thing it was done to: content_item, team; null for logins';
COMMENT ON COLUMN app.user_activities.entity_id IS 'Key of that thing as text, because keys are numbers here and UUIDs there';
COMMENT ON COLUMN app.user_activities.data IS 'Details, a JSON object; source is the client that sent it';
COMMENT ON COLUMN app.user_activities.ip_address IS 'Address it came from, IPv4 or IPv6';
COMMENT ON COLUMN app.user_activities.created_at IS 'When it was done';
