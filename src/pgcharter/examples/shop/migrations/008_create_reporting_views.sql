-- Migration: Create reporting views
-- Author: pgcharter
-- Date: 2026-11-20
-- Description: Views that respect the row policies of the reader, and a daily summary for operators

CREATE VIEW reporting.order_summaries
WITH (security_invoker = true) AS
SELECT
    o.order_id,
    o.tenant_id,
    o.order_number,
    o.order_status,
    o.created_at,
    u.first_name || ' ' || u.last_name AS customer_name,
    count(i.order_item_id) AS item_count,
    o.currency_code,
    o.total_amount
FROM sales.orders AS o
JOIN identity.users AS u ON u.tenant_id = o.tenant_id AND u.user_id = o.user_id
LEFT JOIN sales.order_items AS i ON i.tenant_id = o.tenant_id AND i.order_id = o.order_id
GROUP BY o.order_id, u.user_id;

COMMENT ON VIEW reporting.order_summaries IS 'One row per order with its customer and number of lines; shows what the reader''s tenant may see';

CREATE VIEW reporting.low_stock_products
WITH (security_invoker = true) AS
SELECT p.product_id, p.tenant_id, p.sku, p.product_name, s.available_quantity
FROM catalog.products AS p
JOIN catalog.inventory_items AS s ON s.tenant_id = p.tenant_id AND s.product_id = p.product_id
WHERE p.product_status = 'active' AND p.deleted_at IS NULL AND s.available_quantity < 20;

COMMENT ON VIEW reporting.low_stock_products IS 'Active products with fewer than 20 units left';

-- Row policies do not reach materialized views: this one stands in a schema that no role may enter, and a view shows each tenant its part.
CREATE MATERIALIZED VIEW platform.daily_sales AS
SELECT
    o.tenant_id,
    (o.created_at AT TIME ZONE 'UTC')::date AS sale_date,
    count(*) AS order_count,
    sum(o.total_amount) AS sales_amount
FROM sales.orders AS o
WHERE o.order_status IN ('paid', 'processing', 'shipped', 'delivered')
GROUP BY o.tenant_id, (o.created_at AT TIME ZONE 'UTC')::date;

CREATE UNIQUE INDEX idx_daily_sales_tenant_id_sale_date ON platform.daily_sales (tenant_id, sale_date);

COMMENT ON MATERIALIZED VIEW platform.daily_sales IS
    'Sales of each tenant and day (UTC); to be refreshed by a role that bypasses row policies, or it would be empty';

CREATE VIEW reporting.daily_sales
WITH (security_barrier = true, security_invoker = false) AS
SELECT d.tenant_id, d.sale_date, d.order_count, d.sales_amount
FROM platform.daily_sales AS d
WHERE d.tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid;

COMMENT ON VIEW reporting.daily_sales IS 'Sales of the current tenant by day (UTC), as of the last refresh';
