CREATE SCHEMA shop;
CREATE TABLE shop.users (
    tenant_id uuid NOT NULL,
    user_id uuid PRIMARY KEY,
    UNIQUE (tenant_id, user_id)
);
CREATE TABLE shop.orders (
    tenant_id uuid NOT NULL,
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    referrer_id uuid REFERENCES shop.users (user_id),
    approved_by uuid REFERENCES shop.users (user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES shop.users (tenant_id, user_id)
);
-- user_id alone is unique on the other side, so it finds the rows
CREATE INDEX idx_orders_user_id ON shop.orders (user_id, order_id);
-- NULL refers to nothing
CREATE INDEX idx_orders_referrer ON shop.orders (referrer_id) WHERE referrer_id IS NOT NULL;
CREATE INDEX idx_orders_approved_by ON shop.orders USING hash (approved_by);

-- the primary key does for its first column, in either order
CREATE TABLE shop.order_items (
    order_id uuid NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    line smallint NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE shop.item_notes (
    note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    line smallint NOT NULL,
    order_id uuid NOT NULL,
    FOREIGN KEY (order_id, line) REFERENCES shop.order_items ON DELETE CASCADE
);
CREATE INDEX idx_item_notes_line ON shop.item_notes (line, order_id);

-- partitions have the index of their parent
CREATE TABLE shop.visits (
    visit_id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES shop.users (user_id),
    visited_on date NOT NULL,
    PRIMARY KEY (visit_id, visited_on)
) PARTITION BY RANGE (visited_on);
CREATE TABLE shop.visits_2026 PARTITION OF shop.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX idx_visits_user_id ON shop.visits (user_id);

-- lists of values
CREATE TABLE shop.currencies (code char(3) PRIMARY KEY, name text NOT NULL, digits smallint NOT NULL, symbol text, country text);
CREATE TABLE shop.states (state text PRIMARY KEY, label text NOT NULL);
CREATE TABLE shop.vat_rates (vat_rate_id smallint PRIMARY KEY, percent numeric(5, 2) NOT NULL);
CREATE TABLE shop.bills (
    bill_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    currency char(3) NOT NULL REFERENCES shop.currencies,
    state text NOT NULL REFERENCES shop.states,
    vat_rate_id smallint NOT NULL REFERENCES shop.vat_rates
);
