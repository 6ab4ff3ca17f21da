CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL,
    -- never used twice
    public_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    session_token text UNIQUE,
    customer_number text NOT NULL UNIQUE,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX uq_users_email ON users (email) WHERE deleted_at IS NULL;

-- a foreign key needs the whole key
CREATE TABLE countries (
    country_id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    deleted_at timestamptz
);
CREATE TABLE addresses (
    address_id uuid PRIMARY KEY,
    country text NOT NULL REFERENCES countries (code)
);

-- for foreign keys that hold the tenant
CREATE TABLE vendors (
    vendor_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    deleted_at timestamptz,
    UNIQUE (tenant_id, vendor_id)
);

-- nothing is deleted softly here
CREATE TABLE tags (
    tag_id uuid PRIMARY KEY,
    label text NOT NULL UNIQUE
);

-- a row of references is revived, not made again
CREATE TABLE clubs (club_id bigint PRIMARY KEY);
CREATE TABLE people (person_id bigint PRIMARY KEY);
CREATE TABLE club_members (
    club_member_id bigint PRIMARY KEY,
    club_id bigint NOT NULL REFERENCES clubs,
    person_id bigint NOT NULL REFERENCES people,
    deleted_at timestamptz,
    UNIQUE (club_id, person_id)
);
