CREATE SCHEMA shop;
CREATE TABLE shop.users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE shop.articles (
    sku text PRIMARY KEY,
    title text NOT NULL,
    price numeric(12, 2) NOT NULL,
    stock integer NOT NULL,
    weight_g integer
);
CREATE TABLE shop.orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES shop.users,
    status text NOT NULL,
    sku text NOT NULL REFERENCES shop.articles,
    referrer_id uuid CONSTRAINT fk_orders_referrer REFERENCES shop.users (user_id)
);
-- the wrong column first
CREATE INDEX idx_orders_status ON shop.orders (status, user_id);
-- only open orders are found
CREATE INDEX idx_orders_referrer ON shop.orders (referrer_id) WHERE status = 'open';

CREATE TABLE shop.visits (
    visit_id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES shop.users,
    visited_on date NOT NULL,
    PRIMARY KEY (visit_id, visited_on)
) PARTITION BY RANGE (visited_on);
CREATE TABLE shop.visits_2026 PARTITION OF shop.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
