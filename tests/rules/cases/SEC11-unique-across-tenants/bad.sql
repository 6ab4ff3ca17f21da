CREATE TABLE products (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, sku text NOT NULL CONSTRAINT products_sku UNIQUE);
ALTER TABLE products ENABLE ROW LEVEL SECURITY;
