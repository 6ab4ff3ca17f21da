-- Migration: Hand over to the charter
-- Author: pgcharter
-- Date: 2026-11-21
-- Description: Row policies and audit triggers written by hand give way to what the charter declares; see 013

SET LOCAL lock_timeout = '5s';

-- From here on the tenant is named by pgcharter.tenant, which the runtime sets together with BEGIN.
DROP POLICY tenant_isolation ON identity.tenants;
DROP POLICY tenant_isolation ON identity.users;
DROP POLICY tenant_isolation ON catalog.vendors;
DROP POLICY tenant_isolation ON catalog.categories;
DROP POLICY tenant_isolation ON catalog.products;
DROP POLICY tenant_isolation ON catalog.inventory_items;
DROP POLICY tenant_isolation ON sales.orders;
DROP POLICY tenant_isolation ON sales.order_items;
DROP POLICY tenant_isolation ON sales.payments;
DROP POLICY tenant_isolation ON sales.order_journeys;

COMMENT ON COLUMN identity.tenants.tenant_id IS 'Key, and the value that pgcharter.tenant must have to see the tenant''s rows';

CREATE OR REPLACE VIEW reporting.daily_sales
WITH (security_barrier = true, security_invoker = false) AS
SELECT d.tenant_id, d.sale_date, d.order_count, d.sales_amount
FROM platform.daily_sales AS d
WHERE d.tenant_id = nullif(current_setting('pgcharter.tenant', true), '')::uuid;

-- What was recorded so far stays, and can still be read by each tenant; nothing is added to it any more.
DROP TRIGGER trg_users_audit_insert ON identity.users;
DROP TRIGGER trg_users_audit_update ON identity.users;
DROP TRIGGER trg_users_audit_delete ON identity.users;
DROP TRIGGER trg_users_audit_truncate ON identity.users;
DROP TRIGGER trg_vendors_audit_insert ON catalog.vendors;
DROP TRIGGER trg_vendors_audit_update ON catalog.vendors;
DROP TRIGGER trg_vendors_audit_delete ON catalog.vendors;
DROP TRIGGER trg_vendors_audit_truncate ON catalog.vendors;
DROP TRIGGER trg_products_audit_insert ON catalog.products;
DROP TRIGGER trg_products_audit_update ON catalog.products;
DROP TRIGGER trg_products_audit_delete ON catalog.products;
DROP TRIGGER trg_products_audit_truncate ON catalog.products;
DROP TRIGGER trg_payments_audit_update ON sales.payments;
DROP TRIGGER trg_payments_audit_delete ON sales.payments;
DROP TRIGGER trg_payments_audit_truncate ON sales.payments;
DROP FUNCTION audit.record_change();

DROP POLICY tenant_append ON audit.audit_entries;
DROP POLICY tenant_isolation ON audit.audit_entries;
CREATE POLICY tenant_isolation ON audit.audit_entries
    FOR SELECT
    USING (tenant_id = nullif(current_setting('pgcharter.tenant', true), '')::uuid);
COMMENT ON TABLE audit.audit_entries IS 'Changes recorded before pgcharter.audit_log took over; nothing is added any more';
