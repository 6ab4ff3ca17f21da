-- Feature flags and settings. House: singular, natural keys where there are some, jsonb values, lookup tables.
CREATE TABLE environment (
    environment text PRIMARY KEY,
    is_production boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX environment_one_production ON environment (is_production) WHERE is_production;

CREATE TABLE flag (
    flag_key text PRIMARY KEY CHECK (flag_key ~ '^[a-z][a-z0-9_.]*$'),
    description text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('release', 'experiment', 'ops')),
    default_value jsonb NOT NULL DEFAULT 'false',
    is_archived boolean NOT NULL DEFAULT false,
    owner_team text NOT NULL,
    expires_on date,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE flag_state (
    flag_key text NOT NULL REFERENCES flag ON UPDATE CASCADE ON DELETE CASCADE,
    environment text NOT NULL REFERENCES environment ON UPDATE CASCADE ON DELETE CASCADE,
    enabled boolean NOT NULL DEFAULT false,
    rollout_percent numeric(5, 2) NOT NULL DEFAULT 0 CHECK (rollout_percent BETWEEN 0 AND 100),
    salt bytea NOT NULL DEFAULT decode(md5(random()::text), 'hex'),
    PRIMARY KEY (flag_key, environment)
);
CREATE TABLE flag_rule (
    flag_key text NOT NULL,
    environment text NOT NULL,
    position smallint NOT NULL CHECK (position >= 0),
    condition jsonb NOT NULL,
    value jsonb NOT NULL,
    PRIMARY KEY (flag_key, environment, position),
    FOREIGN KEY (flag_key, environment) REFERENCES flag_state ON UPDATE CASCADE ON DELETE CASCADE
);

-- Settings: a name and a value, by intent.
CREATE TABLE setting (
    name text PRIMARY KEY,
    value text NOT NULL,
    is_secret boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE user_preference (
    user_id uuid NOT NULL,
    name text NOT NULL,
    value jsonb NOT NULL,
    PRIMARY KEY (user_id, name)
);

-- Exactly one row.
CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    installed_at timestamptz NOT NULL DEFAULT now(),
    schema_version integer NOT NULL,
    license_key text
);

CREATE FUNCTION bucket(flag text, subject text, salt bytea) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (abs(hashtextextended(flag || ':' || subject, get_byte(salt, 0)::bigint)) % 10000)::smallint;

CREATE FUNCTION is_on(wanted text, env text, subject text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT s.enabled AND bucket(f.flag_key, subject, s.salt) < s.rollout_percent * 100
         FROM flag f JOIN flag_state s USING (flag_key)
         WHERE f.flag_key = wanted AND s.environment = env AND NOT f.is_archived),
        false)
$$;
