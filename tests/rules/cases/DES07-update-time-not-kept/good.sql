CREATE SCHEMA shop;
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.updated_at = clock_timestamp();
    RETURN new;
END
$$;
CREATE TABLE shop.users (
    user_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON shop.users FOR EACH ROW EXECUTE FUNCTION shop.touch();

-- partitions have the trigger of their parent
CREATE TABLE shop.orders (
    order_id uuid NOT NULL,
    placed_on date NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (placed_on);
CREATE TABLE shop.orders_2026 PARTITION OF shop.orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TRIGGER touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();

-- what another system says, and no default
CREATE TABLE shop.imported_prices (
    price_id uuid PRIMARY KEY,
    updated_at timestamptz NOT NULL
);

-- rows of a log are never updated
CREATE TABLE shop.price_history (
    price_id uuid NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- no table has a trigger for this one: the application writes it
CREATE TABLE shop.carts (
    cart_id uuid PRIMARY KEY,
    last_updated timestamptz NOT NULL DEFAULT now()
);

-- by SELECT INTO
CREATE TABLE shop.beats (beat_id uuid PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE FUNCTION shop.beat() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SELECT clock_timestamp() INTO NEW.updated_at; RETURN NEW; END $$;
CREATE TRIGGER beat BEFORE UPDATE ON shop.beats FOR EACH ROW EXECUTE FUNCTION shop.beat();
