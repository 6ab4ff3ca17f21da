CREATE TABLE people (
    id bigint PRIMARY KEY,
    photo bytea CHECK (octet_length(photo) <= 1048576),
    photo_key text,
    file_hash bytea NOT NULL,
    document_signature bytea,
    encrypted_content bytea,
    payload bytea
);
CREATE SCHEMA staging;
CREATE TABLE staging.uploads (content bytea);
