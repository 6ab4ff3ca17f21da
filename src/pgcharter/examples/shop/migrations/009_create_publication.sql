-- Migration: Create publication
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Changes of catalogue and sales for caches, search and analytics

CREATE PUBLICATION shop_changes
    FOR TABLE catalog.categories, catalog.products, catalog.inventory_items, sales.orders, sales.order_items, sales.payments
    WITH (publish_via_partition_root = true);

COMMENT ON PUBLICATION shop_changes IS 'What search, caches and analytics follow; holds no accounts and no audit trail';
