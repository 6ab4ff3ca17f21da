CREATE TABLE tenants (tenant_id uuid PRIMARY KEY);
CREATE TABLE orders (order_id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants);
CREATE TABLE items (
    item_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    order_id uuid NOT NULL CONSTRAINT items_order REFERENCES orders ON DELETE CASCADE,
    parent_id uuid CONSTRAINT items_parent REFERENCES items ON DELETE SET NULL,
    replaced_order_id uuid CONSTRAINT items_replaced REFERENCES orders DEFERRABLE INITIALLY DEFERRED
);
