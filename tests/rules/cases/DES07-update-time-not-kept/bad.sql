CREATE SCHEMA shop;
CREATE TABLE shop.products (
    product_id uuid PRIMARY KEY,
    modified_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TABLE shop.users (
    user_id uuid PRIMARY KEY,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER touch BEFORE UPDATE ON shop.users FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE TABLE shop.orders (
    order_id uuid PRIMARY KEY,
    updated_at timestamptz NOT NULL DEFAULT now()
);
