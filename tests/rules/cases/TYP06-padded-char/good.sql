CREATE TABLE languages (
    iso_code char(2) PRIMARY KEY,
    name varchar(20) NOT NULL
);
CREATE TABLE files (
    sha256 char(64) PRIMARY KEY,
    kind "char" NOT NULL,
    side char(1) NOT NULL,
    note bpchar
);

-- a CHECK keeps the full length
CREATE TABLE labels (
    gtin char(14) PRIMARY KEY,
    batch char(8) NOT NULL CHECK (length(batch) = 8),
    plant char(4) NOT NULL CHECK (plant ~ '^[A-Z]{4}$')
);

-- always as long: a bcrypt hash, a uuid written out
CREATE TABLE logins (login_id char(36) PRIMARY KEY, password char(60) NOT NULL);
