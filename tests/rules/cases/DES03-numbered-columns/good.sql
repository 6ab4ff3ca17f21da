CREATE TABLE contacts (
    contact_id uuid PRIMARY KEY,
    address_line_1 text NOT NULL,
    address_line_2 text,
    address_line_3 text,
    phone1 text,
    phone2 text
);
CREATE TABLE measurements (
    measurement_id bigint PRIMARY KEY,
    sensor1 double precision,
    sensor2 double precision,
    sensor3 double precision,
    q1 text,
    q2 text,
    q3 text,
    sha1 text,
    sha256 text
);
