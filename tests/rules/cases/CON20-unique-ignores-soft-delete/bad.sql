CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    email text NOT NULL UNIQUE,
    nickname text NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX uq_users_nickname ON users (tenant_id, lower(nickname));

CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    sku text NOT NULL,
    is_deleted boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX uq_products_sku ON products (sku);
