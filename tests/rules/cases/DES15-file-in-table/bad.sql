CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL, photo bytea);
CREATE TABLE uploads (id bigint PRIMARY KEY, file_name text NOT NULL, "fileContent" bytea NOT NULL);
