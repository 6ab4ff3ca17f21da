CREATE TABLE devices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_uuid varchar(36) NOT NULL,
    token text NOT NULL DEFAULT gen_random_uuid()
);
