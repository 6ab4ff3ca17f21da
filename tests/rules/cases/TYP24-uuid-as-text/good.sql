CREATE TABLE devices (
    device_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    device_uuid uuid NOT NULL,
    -- other systems' keys have forms of their own
    stripe_id varchar(36),
    uuid_source text
);
