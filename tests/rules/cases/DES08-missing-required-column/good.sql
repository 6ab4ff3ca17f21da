CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE users ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

CREATE TABLE roles (
    code text PRIMARY KEY
);
CREATE TABLE user_roles (
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL REFERENCES roles,
    PRIMARY KEY (user_id, role)
);

-- only ever appended to: nobody but the owner may update a row
CREATE ROLE des08_app;
CREATE TABLE page_views (
    page_view_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON page_views TO des08_app;
CREATE TABLE audit_entries (
    audit_entry_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
