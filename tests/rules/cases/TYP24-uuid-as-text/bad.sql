CREATE TABLE devices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_uuid varchar(36) NOT NULL,
    token text NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO devices (device_uuid) VALUES ('6c0f1f0e-6a8e-4a53-9f55-8a3a0c1b2d3e');
