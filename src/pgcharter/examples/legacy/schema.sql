-- Booking system of a small hotel group. Begun in 2009, extended by whoever was there.
-- Made up; but each of these quick fixes is found in real systems. `pgcharter check` says what it costs.

CREATE TABLE hotels (
    id          serial PRIMARY KEY,
    name        varchar(100),
    city        varchar(100),
    Rating      real
);

CREATE TABLE guests (
    id          serial PRIMARY KEY,
    email       varchar(255) NOT NULL UNIQUE,
    password    varchar(64),
    firstname   varchar(50),
    lastname    varchar(50),
    birthday    date CHECK (birthday < CURRENT_DATE - interval '18 years'),
    card_number varchar(20),
    card_expires varchar(5),
    deleted_at  timestamp,
    created_at  timestamp DEFAULT now()
);
CREATE INDEX guests_email_idx ON guests (email);
CREATE INDEX guests_deleted ON guests (deleted_at) WHERE deleted_at IS NULL;

CREATE TABLE rooms (
    id          serial PRIMARY KEY,
    hotel_id    int REFERENCES hotels,
    "number"    char(4),
    kind        varchar(20),          -- single, double, suite
    price       float NOT NULL,
    "order"     int
);

CREATE TABLE bookings (
    id          serial PRIMARY KEY,
    guest_id    int NOT NULL REFERENCES guests (id) ON DELETE SET NULL,
    room_id     int REFERENCES rooms (id),
    arrival     timestamp NOT NULL,
    departure   timestamp NOT NULL,
    status      varchar(20) DEFAULT 'new',
    total       money,
    extras      json,
    remarks     text,
    agency_id   int,
    created_at  timestamptz DEFAULT now(),
    updated_at  timestamptz DEFAULT now()
);
CREATE INDEX bookings_guest ON bookings (guest_id);
CREATE INDEX bookings_guest_arrival ON bookings (guest_id, arrival);
CREATE INDEX bookings_status ON bookings USING hash (status);

CREATE TABLE invoices (
    invoice_no  varchar(20),
    booking_id  int REFERENCES bookings (id),
    amount      double precision,
    paid        boolean,
    paid_on     timestamp
);

CREATE TABLE rates (
    room_id     int REFERENCES rooms (id) NOT NULL,
    valid_from  date,
    valid_to    date,
    rate        numeric
);

-- One table for "everything else", so that nobody has to ask for a migration.
CREATE TABLE settings (
    entity_type varchar(50),
    entity_id   int,
    attribute   varchar(100),
    value       text,
    PRIMARY KEY (entity_type, entity_id, attribute)
);

CREATE TABLE booking_archive (LIKE bookings INCLUDING DEFAULTS);

-- 2017: travel agencies sign in and shall see only their own bookings.
CREATE TABLE agencies (
    id          serial PRIMARY KEY,
    name        varchar(100) UNIQUE,
    parent_id   int REFERENCES agencies (id)
);
ALTER TABLE bookings ADD CONSTRAINT bookings_agency FOREIGN KEY (agency_id) REFERENCES agencies (id) NOT VALID;
ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;
CREATE POLICY agency_bookings ON bookings
    USING (agency_id = current_setting('app.agency')::int) WITH CHECK (true);
CREATE POLICY agency_guests ON guests
    USING (id IN (SELECT guest_id FROM bookings WHERE agency_id = current_setting('app.agency')::int));

CREATE VIEW agency_overview AS
    SELECT b.*, g.email, g.card_number FROM bookings b JOIN guests g ON g.id = b.guest_id;

-- 2019: who changed what.
CREATE TABLE audit_log (
    id          serial PRIMARY KEY,
    table_name  varchar(50),
    record_id   int,
    changed_by  varchar(50) NOT NULL DEFAULT current_setting('app.user'),
    changed_at  timestamp DEFAULT now(),
    old_data    json
);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO audit_log (table_name, record_id, changed_by, old_data)
    VALUES (TG_TABLE_NAME, OLD.id, current_user, row_to_json(OLD));
    RETURN NULL;
END $$;
CREATE TRIGGER bookings_audit AFTER UPDATE OR DELETE ON bookings FOR EACH ROW EXECUTE PROCEDURE audit();

CREATE FUNCTION find_guest(term text) RETURNS SETOF guests LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT * FROM guests WHERE lastname = ''' || term || '''';
END $$;

CREATE INDEX guests_search ON guests USING gin (to_tsvector('english', firstname || ' ' || lastname));

-- 2021: the nightly report connects as whoever it likes.
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
