-- Migration: Create catalog tables
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Vendors, the tree of categories, products with full-text search, and stock

CREATE TYPE catalog.vendor_status AS ENUM ('applied', 'approved', 'suspended');
COMMENT ON TYPE catalog.vendor_status IS 'Whether a vendor may sell';
CREATE TYPE catalog.product_status AS ENUM ('draft', 'active', 'discontinued');
COMMENT ON TYPE catalog.product_status IS 'Whether a product can be ordered';

CREATE TABLE catalog.vendors (
    vendor_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    owner_user_id UUID NOT NULL,
    vendor_name VARCHAR(255) NOT NULL,
    vendor_status catalog.vendor_status NOT NULL DEFAULT 'applied',
    commission_rate NUMERIC(5, 4) NOT NULL DEFAULT 0.1000,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT uq_vendors_tenant_id_vendor_id UNIQUE (tenant_id, vendor_id),
    CONSTRAINT fk_vendors_owner_user_id FOREIGN KEY (tenant_id, owner_user_id)
        REFERENCES identity.users (tenant_id, user_id) ON DELETE RESTRICT,
    CONSTRAINT chk_vendors_commission_rate_range CHECK (commission_rate BETWEEN 0 AND 0.5)
);

CREATE UNIQUE INDEX idx_vendors_tenant_id_vendor_name ON catalog.vendors (tenant_id, lower(vendor_name)) WHERE deleted_at IS NULL;
CREATE INDEX idx_vendors_tenant_id_owner_user_id ON catalog.vendors (tenant_id, owner_user_id);

COMMENT ON TABLE catalog.vendors IS 'Sellers on a marketplace';
COMMENT ON COLUMN catalog.vendors.vendor_id IS 'Key that products and payouts refer to';
COMMENT ON COLUMN catalog.vendors.tenant_id IS 'Tenant the vendor sells on';
COMMENT ON COLUMN catalog.vendors.owner_user_id IS 'User who runs the shop';
COMMENT ON COLUMN catalog.vendors.vendor_name IS 'Name of the shop; unique among live vendors of the tenant';
COMMENT ON COLUMN catalog.vendors.vendor_status IS 'Whether the vendor may sell';
COMMENT ON COLUMN catalog.vendors.commission_rate IS 'Share of each sale that the tenant keeps, 0 to 0.5';
COMMENT ON COLUMN catalog.vendors.created_at IS 'When the vendor applied';
COMMENT ON COLUMN catalog.vendors.updated_at IS 'When the row last changed';
COMMENT ON COLUMN catalog.vendors.deleted_at IS 'When the vendor left; null while it is live';

CREATE TRIGGER trg_vendors_set_updated_at
    BEFORE UPDATE ON catalog.vendors
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE catalog.vendors ENABLE ROW LEVEL SECURITY;
ALTER TABLE catalog.vendors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON catalog.vendors
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE catalog.categories (
    category_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    parent_category_id UUID,
    category_name VARCHAR(100) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_categories_tenant_id_category_id UNIQUE (tenant_id, category_id),
    CONSTRAINT uq_categories_tenant_id_category_name UNIQUE (tenant_id, category_name),
    CONSTRAINT fk_categories_tenant_id FOREIGN KEY (tenant_id)
        REFERENCES identity.tenants (tenant_id) ON DELETE RESTRICT,
    CONSTRAINT fk_categories_parent_category_id FOREIGN KEY (tenant_id, parent_category_id)
        REFERENCES catalog.categories (tenant_id, category_id) ON DELETE SET NULL (parent_category_id),
    CONSTRAINT chk_categories_parent_category_id_other CHECK (parent_category_id <> category_id)
);

CREATE INDEX idx_categories_tenant_id_parent_category_id ON catalog.categories (tenant_id, parent_category_id);

COMMENT ON TABLE catalog.categories IS 'Tree of product categories of each tenant';
COMMENT ON COLUMN catalog.categories.category_id IS 'Key that products and subcategories refer to';
COMMENT ON COLUMN catalog.categories.tenant_id IS 'Tenant the category belongs to';
COMMENT ON COLUMN catalog.categories.parent_category_id IS 'Category above this one; null at the top of the tree';
COMMENT ON COLUMN catalog.categories.category_name IS 'Name as customers see it, unique in the tenant';
COMMENT ON COLUMN catalog.categories.created_at IS 'When the category was made';
COMMENT ON COLUMN catalog.categories.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_categories_set_updated_at
    BEFORE UPDATE ON catalog.categories
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE catalog.categories ENABLE ROW LEVEL SECURITY;
ALTER TABLE catalog.categories FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON catalog.categories
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE catalog.products (
    product_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    vendor_id UUID NOT NULL,
    category_id UUID NOT NULL,
    sku VARCHAR(40) NOT NULL,
    product_name VARCHAR(255) NOT NULL,
    description VARCHAR(4000),
    product_status catalog.product_status NOT NULL DEFAULT 'draft',
    price_amount NUMERIC(10, 2) NOT NULL,
    weight_kg NUMERIC(8, 3),
    search_vector TSVECTOR NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', coalesce(product_name, '')), 'A')
        || setweight(to_tsvector('english', coalesce(description, '')), 'B')
    ) STORED,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT uq_products_tenant_id_product_id UNIQUE (tenant_id, product_id),
    CONSTRAINT fk_products_vendor_id FOREIGN KEY (tenant_id, vendor_id)
        REFERENCES catalog.vendors (tenant_id, vendor_id) ON DELETE RESTRICT,
    CONSTRAINT fk_products_category_id FOREIGN KEY (tenant_id, category_id)
        REFERENCES catalog.categories (tenant_id, category_id) ON DELETE RESTRICT,
    CONSTRAINT chk_products_price_amount_positive CHECK (price_amount > 0),
    CONSTRAINT chk_products_weight_kg_positive CHECK (weight_kg > 0)
);

CREATE UNIQUE INDEX idx_products_tenant_id_sku ON catalog.products (tenant_id, sku) WHERE deleted_at IS NULL;
CREATE INDEX idx_products_tenant_id_vendor_id ON catalog.products (tenant_id, vendor_id);
CREATE INDEX idx_products_tenant_id_category_id ON catalog.products (tenant_id, category_id);
CREATE INDEX idx_products_search_vector ON catalog.products USING gin (search_vector);

COMMENT ON INDEX catalog.idx_products_search_vector IS
    'For searches across tenants by roles that bypass row policies; under a policy PostgreSQL narrows to the tenant first, because @@ is not leakproof';

COMMENT ON TABLE catalog.products IS 'Products that vendors offer';
COMMENT ON COLUMN catalog.products.product_id IS 'Key that stock and order lines refer to; survives a change of SKU';
COMMENT ON COLUMN catalog.products.tenant_id IS 'Tenant the product is sold on';
COMMENT ON COLUMN catalog.products.vendor_id IS 'Vendor who sells it';
COMMENT ON COLUMN catalog.products.category_id IS 'Category it is listed in';
COMMENT ON COLUMN catalog.products.sku IS 'Stock keeping unit, unique among live products of the tenant';
COMMENT ON COLUMN catalog.products.product_name IS 'Name as customers see it';
COMMENT ON COLUMN catalog.products.description IS 'Text of the product page';
COMMENT ON COLUMN catalog.products.product_status IS 'Whether it can be ordered';
COMMENT ON COLUMN catalog.products.price_amount IS 'Price of one unit in the currency of the tenant';
COMMENT ON COLUMN catalog.products.weight_kg IS 'Shipping weight in kilograms';
COMMENT ON COLUMN catalog.products.search_vector IS 'Words of name (weight A) and description (weight B) for full-text search';
COMMENT ON COLUMN catalog.products.created_at IS 'When the product was listed';
COMMENT ON COLUMN catalog.products.updated_at IS 'When the row last changed';
COMMENT ON COLUMN catalog.products.deleted_at IS 'When the product was withdrawn; null while it is live';

CREATE TRIGGER trg_products_set_updated_at
    BEFORE UPDATE ON catalog.products
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE catalog.products ENABLE ROW LEVEL SECURITY;
ALTER TABLE catalog.products FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON catalog.products
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE TABLE catalog.inventory_items (
    inventory_item_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id UUID NOT NULL,
    product_id UUID NOT NULL,
    received_quantity INTEGER NOT NULL DEFAULT 0,
    reserved_quantity INTEGER NOT NULL DEFAULT 0,
    shipped_quantity INTEGER NOT NULL DEFAULT 0,
    available_quantity INTEGER NOT NULL GENERATED ALWAYS AS (received_quantity - reserved_quantity - shipped_quantity) STORED,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    CONSTRAINT uq_inventory_items_tenant_id_product_id UNIQUE (tenant_id, product_id),
    CONSTRAINT fk_inventory_items_product_id FOREIGN KEY (tenant_id, product_id)
        REFERENCES catalog.products (tenant_id, product_id) ON DELETE CASCADE,
    CONSTRAINT chk_inventory_items_quantities_not_negative
        CHECK (received_quantity >= 0 AND reserved_quantity >= 0 AND shipped_quantity >= 0),
    CONSTRAINT chk_inventory_items_not_oversold CHECK (received_quantity >= reserved_quantity + shipped_quantity)
);

COMMENT ON TABLE catalog.inventory_items IS 'Stock of each product';
COMMENT ON COLUMN catalog.inventory_items.inventory_item_id IS 'Key of the stock record; product_id is what it is looked up by';
COMMENT ON COLUMN catalog.inventory_items.tenant_id IS 'Tenant the product is sold on';
COMMENT ON COLUMN catalog.inventory_items.product_id IS 'Product in stock';
COMMENT ON COLUMN catalog.inventory_items.received_quantity IS 'Units ever received';
COMMENT ON COLUMN catalog.inventory_items.reserved_quantity IS 'Units of orders that are paid and not yet shipped';
COMMENT ON COLUMN catalog.inventory_items.shipped_quantity IS 'Units that have left';
COMMENT ON COLUMN catalog.inventory_items.available_quantity IS 'Units that can be ordered: received less reserved less shipped';
COMMENT ON COLUMN catalog.inventory_items.created_at IS 'When the stock record was made';
COMMENT ON COLUMN catalog.inventory_items.updated_at IS 'When the row last changed';

CREATE TRIGGER trg_inventory_items_set_updated_at
    BEFORE UPDATE ON catalog.inventory_items
    FOR EACH ROW EXECUTE FUNCTION platform.set_updated_at();

ALTER TABLE catalog.inventory_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE catalog.inventory_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON catalog.inventory_items
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

CREATE FUNCTION catalog.reserve_inventory(p_product_id uuid, p_quantity integer) RETURNS boolean
LANGUAGE sql
SET search_path = catalog, pg_temp
AS $$
    WITH reserved AS (
        UPDATE catalog.inventory_items
        SET reserved_quantity = reserved_quantity + p_quantity
        WHERE product_id = p_product_id AND p_quantity > 0 AND available_quantity >= p_quantity
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM reserved)
$$;

COMMENT ON FUNCTION catalog.reserve_inventory(uuid, integer) IS
    'Reserves stock in one statement; false when there is not enough of it. Runs as the caller, under its row policies';

CREATE FUNCTION catalog.search_products(p_words varchar, p_limit integer DEFAULT 20)
RETURNS TABLE (product_id uuid, product_name varchar, price_amount numeric, rank real)
LANGUAGE sql
STABLE
SET search_path = catalog, pg_temp
AS $$
    SELECT p.product_id, p.product_name, p.price_amount, ts_rank(p.search_vector, q.query)
    FROM catalog.products AS p
    CROSS JOIN websearch_to_tsquery('english', p_words) AS q (query)
    WHERE p.search_vector @@ q.query AND p.product_status = 'active' AND p.deleted_at IS NULL
    ORDER BY ts_rank(p.search_vector, q.query) DESC, p.product_id
    LIMIT least(p_limit, 100)
$$;

COMMENT ON FUNCTION catalog.search_products(varchar, integer) IS 'Finds active products by words, best first, at most 100. Runs as the caller';
GRANT EXECUTE ON FUNCTION catalog.search_products(varchar, integer) TO shop_readonly;
