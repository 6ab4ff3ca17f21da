CREATE TABLE products (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, sku text NOT NULL, api_token text UNIQUE, number bigint UNIQUE,
    UNIQUE (tenant_id, sku));
ALTER TABLE products ENABLE ROW LEVEL SECURITY;
CREATE TABLE countries (code text PRIMARY KEY, name text UNIQUE);
CREATE TABLE tenants (tenant_id uuid PRIMARY KEY, name text UNIQUE);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
