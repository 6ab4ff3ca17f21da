CREATE TABLE users (tenant_id uuid NOT NULL, id bigint PRIMARY KEY, email text NOT NULL UNIQUE, name text, UNIQUE (tenant_id, id), UNIQUE (id, tenant_id));
-- needed by the reference
CREATE TABLE orders (id bigint PRIMARY KEY, tenant_id uuid, user_id bigint, FOREIGN KEY (user_id, tenant_id) REFERENCES users (id, tenant_id));
-- serves searches by name
CREATE UNIQUE INDEX ON users (name, email);
CREATE UNIQUE INDEX ON users (email, name) WHERE name IS NOT NULL;
-- the shorter one compares no two NULLs, the longer one does
CREATE TABLE codes (id bigint PRIMARY KEY, code text UNIQUE, part text, UNIQUE NULLS NOT DISTINCT (code, part));
