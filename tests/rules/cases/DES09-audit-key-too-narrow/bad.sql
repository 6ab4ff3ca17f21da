CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    record_id integer NOT NULL,
    old_values jsonb,
    new_values jsonb
);
