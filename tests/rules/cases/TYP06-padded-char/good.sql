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
