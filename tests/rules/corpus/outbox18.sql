-- since: 18
-- Orders with uuid v7 keys, outbox and inbox, not-null constraints by name. House: schema per service.
CREATE SCHEMA orders;
CREATE TYPE orders.order_status AS ENUM ('new', 'paid', 'sent', 'returned');
CREATE TABLE orders.orders (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    customer_id uuid CONSTRAINT orders_has_customer NOT NULL,
    status orders.order_status NOT NULL DEFAULT 'new',
    currency char(3) NOT NULL,
    total_cents bigint NOT NULL CHECK (total_cents >= 0),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN orders.orders.customer_id IS 'Key in service customers: no foreign key across services.';
CREATE INDEX orders_customer_id_idx ON orders.orders (customer_id, created_at DESC);
CREATE TABLE orders.order_lines (
    order_id uuid NOT NULL REFERENCES orders.orders ON DELETE CASCADE,
    line smallint NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    unit_price_cents bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE orders.outbox (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    aggregate_id uuid NOT NULL,
    aggregate_version bigint NOT NULL,
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (aggregate_id, aggregate_version)
);
CREATE TABLE orders.processed_messages (
    consumer text NOT NULL,
    message_id uuid NOT NULL,
    processed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
);
CREATE FUNCTION orders.bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version = OLD.version + 1;
    NEW.updated_at = now();
    RETURN NEW;
END $$;
CREATE TRIGGER bump BEFORE UPDATE ON orders.orders FOR EACH ROW EXECUTE FUNCTION orders.bump();
