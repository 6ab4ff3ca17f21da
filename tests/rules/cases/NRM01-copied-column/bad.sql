CREATE TABLE customers (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email varchar(200),
    tier text
);
CREATE TABLE "Contacts" (
    "Id" bigint PRIMARY KEY,
    phone text
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    customer_name text NOT NULL,
    customer_email text,
    billing_contact_id bigint NOT NULL REFERENCES "Contacts",
    billing_contact_phone text
);
CREATE TABLE teams (
    id bigint PRIMARY KEY,
    team_label text NOT NULL
);
CREATE TABLE players (
    id bigint PRIMARY KEY,
    team_id bigint NOT NULL REFERENCES teams,
    team_label text NOT NULL
);
