CREATE TABLE languages (
    language_id smallint PRIMARY KEY,
    name char(20) NOT NULL
);
