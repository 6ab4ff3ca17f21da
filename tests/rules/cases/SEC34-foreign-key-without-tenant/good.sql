CREATE TABLE tenants (tenant_id uuid PRIMARY KEY);
-- shared by all tenants
CREATE TABLE countries (code text PRIMARY KEY);
CREATE TABLE orders (
    tenant_id uuid NOT NULL REFERENCES tenants,
    order_id uuid NOT NULL UNIQUE,
    country text NOT NULL REFERENCES countries,
    PRIMARY KEY (tenant_id, order_id)
);
CREATE TABLE items (
    tenant_id uuid NOT NULL,
    item_id uuid PRIMARY KEY,
    order_id uuid NOT NULL,
    FOREIGN KEY (tenant_id, order_id) REFERENCES orders ON DELETE CASCADE
);
-- both keys: the short one for an ORM, the long one for the tenant
CREATE TABLE notes (
    tenant_id uuid NOT NULL,
    note_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (order_id),
    FOREIGN KEY (tenant_id, order_id) REFERENCES orders
);
-- the policy looks the tenant up
CREATE TABLE payments (tenant_id uuid NOT NULL, payment_id uuid PRIMARY KEY, order_id uuid NOT NULL REFERENCES orders (order_id));
ALTER TABLE payments ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON payments USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (
    EXISTS (SELECT FROM orders o WHERE o.order_id = payments.order_id AND o.tenant_id = payments.tenant_id)
);
-- a trigger looks the tenant up
CREATE TABLE labels (tenant_id uuid NOT NULL, label_id uuid PRIMARY KEY, order_id uuid NOT NULL REFERENCES orders (order_id));
CREATE FUNCTION same_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM orders o WHERE o.order_id = NEW.order_id AND o.tenant_id = NEW.tenant_id) THEN
        RAISE EXCEPTION 'order of another tenant';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER same_tenant BEFORE INSERT OR UPDATE ON labels FOR EACH ROW EXECUTE FUNCTION same_tenant();
-- some labels are there for every tenant
CREATE TABLE shared_labels (label_id uuid PRIMARY KEY, tenant_id uuid REFERENCES tenants, words text NOT NULL);
CREATE TABLE labelled_tasks (task_id uuid PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants, label_id uuid REFERENCES shared_labels);
