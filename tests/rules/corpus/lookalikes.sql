-- Good code that looks like bad code: each column or index here has a bad twin.
CREATE DOMAIN positive_amount AS numeric(12, 2) CHECK (VALUE > 0);
CREATE DOMAIN percentage AS real CHECK (VALUE BETWEEN 0 AND 100);

CREATE TABLE loyalty_cards (
    card_number text PRIMARY KEY,
    expires_on date NOT NULL,
    points integer NOT NULL DEFAULT 0
);
CREATE TABLE payments (
    payment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    amount positive_amount NOT NULL,
    tax_rate double precision NOT NULL DEFAULT 0,
    price_index real,
    fee_percent percentage,
    card_last_four char(4) NOT NULL,
    card_token text NOT NULL UNIQUE,
    paid_at timestamptz NOT NULL DEFAULT now(),
    paid_day timestamp GENERATED ALWAYS AS (date_trunc('day', paid_at AT TIME ZONE 'UTC')) STORED,
    valid_until timestamptz NOT NULL DEFAULT 'infinity'
);
CREATE INDEX payments_day ON payments (paid_day);

CREATE TABLE wifi_networks (
    ssid text PRIMARY KEY,
    wifi_password varchar(63),
    gateway_ipv4 varchar(15),
    ip_v4 varchar(15),
    is_hidden boolean
);
CREATE TABLE forum_threads (
    thread_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id bigint REFERENCES forum_threads,
    path bigint[] NOT NULL,
    version integer[] NOT NULL DEFAULT '{1,0,0}',
    raw_document json,
    born_in smallint CHECK (born_in BETWEEN 1900 AND 2100),
    score double precision NOT NULL DEFAULT 0,
    UNIQUE NULLS NOT DISTINCT (parent_id, path)
);
CREATE INDEX forum_threads_path ON forum_threads (path);
CREATE INDEX forum_threads_parent ON forum_threads USING hash (parent_id);

-- Soft deletion: a membership is revived, not made again.
CREATE TABLE teams (team_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE players (player_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, nickname text NOT NULL);
CREATE TABLE team_players (
    team_player_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id bigint NOT NULL REFERENCES teams,
    player_id bigint NOT NULL REFERENCES players,
    deleted_at timestamptz,
    UNIQUE (team_id, player_id)
);
CREATE INDEX team_players_player ON team_players (player_id);

-- One default per team; one row that says all is well.
CREATE TABLE team_colors (
    team_id bigint NOT NULL REFERENCES teams ON DELETE CASCADE,
    color text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    PRIMARY KEY (team_id, color)
);
CREATE UNIQUE INDEX team_colors_default ON team_colors (team_id) WHERE is_default;

-- Versions of documents, not of an event stream.
CREATE TABLE document_versions (
    document_id uuid NOT NULL,
    version integer NOT NULL,
    stream_id uuid,
    body text NOT NULL,
    PRIMARY KEY (document_id, version)
);
-- A table that names a stream and a version but holds no events.
CREATE TABLE video_encodings (
    encoding_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    stream_id uuid NOT NULL,
    revision integer NOT NULL,
    codec text NOT NULL
);

CREATE TABLE status (code smallint PRIMARY KEY, label text NOT NULL);
CREATE TABLE tickets (
    ticket_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    status_code smallint NOT NULL DEFAULT 0 REFERENCES status,
    external_customer_id text,
    request_id uuid,
    opened_on date NOT NULL DEFAULT CURRENT_DATE,
    note text NOT NULL DEFAULT 'null and void'
);

-- Trigger that refuses on DELETE and lets the rest go.
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.label = 'system' THEN
            RAISE EXCEPTION 'the status % stays', OLD.code;
        END IF;
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON status FOR EACH ROW EXECUTE FUNCTION guard();

-- A multi-column GIN, a covering index beside the key, an index in the other collation and one for prefixes.
CREATE TABLE films (film_id bigint PRIMARY KEY, title text NOT NULL, tags text[] NOT NULL, facts jsonb NOT NULL, year smallint);
CREATE INDEX films_facts_tags ON films USING gin (facts, tags);
CREATE INDEX films_title ON films (title);
CREATE INDEX films_title_c ON films (title COLLATE "C");
CREATE INDEX films_covering ON films (film_id) INCLUDE (title);
CREATE INDEX films_recent ON films (year, title DESC) WHERE year > 2000;
CREATE INDEX films_year ON films (year);
