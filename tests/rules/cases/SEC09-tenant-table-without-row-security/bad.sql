CREATE TABLE tenants (tenant_id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE "Orders" (id bigint PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants);
CREATE TABLE tenant_settings (tenant_id uuid PRIMARY KEY REFERENCES tenants, theme text);
