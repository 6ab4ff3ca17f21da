CREATE SCHEMA app;

CREATE TABLE app.notes (
    note_id uuid NOT NULL DEFAULT gen_random_uuid(),
    body text NOT NULL
);

CREATE TABLE app.currencies (
    code char(3) NOT NULL,
    name text NOT NULL
);
CREATE UNIQUE INDEX currencies_code_key ON app.currencies (code);

CREATE TABLE app.page_views (
    page text NOT NULL,
    seen_at timestamptz NOT NULL
) PARTITION BY RANGE (seen_at);
