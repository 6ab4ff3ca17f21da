-- Rooms and seats. House: ranges and exclusion constraints, `id`, text, btree_gist.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE hotels (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    timezone text NOT NULL,
    check_in time NOT NULL DEFAULT '15:00',
    check_out time NOT NULL DEFAULT '11:00'
);
CREATE TABLE rooms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hotel_id bigint NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    number text NOT NULL,
    beds smallint NOT NULL CHECK (beds BETWEEN 1 AND 8),
    features text[] NOT NULL DEFAULT '{}',
    UNIQUE (hotel_id, number)
);
CREATE INDEX rooms_features ON rooms USING gin (features);

CREATE TABLE guests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    full_name text NOT NULL,
    email text,
    phone text,
    CHECK (num_nonnulls(email, phone) >= 1)
);
CREATE INDEX guests_email ON guests (lower(email));

CREATE TABLE reservations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id bigint NOT NULL REFERENCES rooms (id) ON DELETE RESTRICT,
    guest_id bigint NOT NULL REFERENCES guests (id) ON DELETE RESTRICT,
    stay daterange NOT NULL CHECK (NOT isempty(stay) AND NOT lower_inf(stay) AND NOT upper_inf(stay)),
    status text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'confirmed', 'cancelled')),
    price_per_night numeric(10, 2) NOT NULL CHECK (price_per_night >= 0),
    nights integer GENERATED ALWAYS AS (upper(stay) - lower(stay)) STORED,
    held_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reservations_no_overlap EXCLUDE USING gist (room_id WITH =, stay WITH &&) WHERE (status <> 'cancelled'),
    CONSTRAINT reservations_hold CHECK (status <> 'held' OR held_until IS NOT NULL)
);
-- The exclusion constraint leaves cancelled ones out, so it cannot serve the foreign key.
CREATE INDEX reservations_room_id ON reservations (room_id);
CREATE INDEX reservations_guest_id ON reservations (guest_id);
CREATE INDEX reservations_expiring ON reservations (held_until) WHERE status = 'held';

CREATE TABLE blackouts (
    room_id bigint NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    days daterange NOT NULL,
    reason text NOT NULL,
    EXCLUDE USING gist (room_id WITH =, days WITH &&),
    PRIMARY KEY (room_id, days)
);

CREATE TABLE appointments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hotel_id bigint NOT NULL REFERENCES hotels (id) ON DELETE CASCADE,
    starts_at timestamp NOT NULL,
    ends_at timestamp NOT NULL CHECK (ends_at > starts_at),
    time_zone text NOT NULL
);
CREATE INDEX appointments_hotel_id ON appointments (hotel_id, starts_at);

CREATE TABLE seasonal_prices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hotel_id bigint NOT NULL REFERENCES hotels (id),
    valid daterange NOT NULL,
    factor real NOT NULL DEFAULT 1,
    price_factor real NOT NULL DEFAULT 1,
    EXCLUDE USING gist (hotel_id WITH =, valid WITH &&)
);

CREATE FUNCTION cancel(reservation bigint) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    UPDATE reservations SET status = 'cancelled', held_until = NULL WHERE id = reservation;
END;
