CREATE TABLE customers (
    id bigint PRIMARY KEY,
    tenant_id bigint NOT NULL,
    name text NOT NULL,
    email text,
    status text NOT NULL,
    currency char(3) NOT NULL,
    city text,
    country text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    description text,
    version integer NOT NULL,
    credit_limit numeric(12, 2),
    is_business boolean,
    UNIQUE (tenant_id, id),
    UNIQUE (id, email)
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    tenant_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    -- the same names mean something of the order's own
    name text,
    status text NOT NULL,
    currency char(3) NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    description text,
    version integer NOT NULL,
    -- as it was when it was ordered
    customer_city text,
    customer_country text,
    customer_currency char(3),
    customer_credit_limit numeric(12, 2),
    -- another type: another thing
    customer_is_business text,
    customer_status text,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
COMMENT ON COLUMN orders.customer_status IS 'Copy of customers.status at checkout, so that the decision can be explained later.';
-- a document keeps its wording
CREATE TABLE invoices (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    customer_name text NOT NULL
);
CREATE TABLE products (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    unit_price numeric(12, 2) NOT NULL
);
CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders,
    product_id bigint NOT NULL REFERENCES products,
    product_name text NOT NULL,
    unit_price numeric(12, 2) NOT NULL,
    product_unit_price numeric(12, 2) NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
-- the text outlives the row
CREATE TABLE comments (
    id bigint PRIMARY KEY,
    customer_id bigint REFERENCES customers ON DELETE SET NULL,
    customer_name text
);
CREATE TABLE customer_history (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    customer_name text NOT NULL,
    customer_email text
);
-- kept together by a key
CREATE TABLE newsletters (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    customer_email text NOT NULL,
    FOREIGN KEY (customer_id, customer_email) REFERENCES customers (id, email) ON UPDATE CASCADE
);
-- kept together by a trigger
CREATE TABLE search_hits (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    customer_name text
);
CREATE FUNCTION fill_customer_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.customer_name := (SELECT name FROM customers WHERE id = NEW.customer_id);
    RETURN NEW;
END
$$;
CREATE TABLE hits (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    customer_name text
);
CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON hits FOR EACH ROW EXECUTE FUNCTION fill_customer_name();
CREATE TABLE categories (
    id bigint PRIMARY KEY,
    parent_id bigint REFERENCES categories,
    parent_name text,
    name text NOT NULL
);
-- what a membership says is about the membership
CREATE TABLE clubs (id bigint PRIMARY KEY, role text, status text NOT NULL);
CREATE TABLE persons (id bigint PRIMARY KEY, status text NOT NULL);
CREATE TABLE club_members (
    id bigint PRIMARY KEY, club_id bigint NOT NULL REFERENCES clubs, person_id bigint NOT NULL REFERENCES persons,
    club_role text NOT NULL, person_status text NOT NULL, UNIQUE (club_id, person_id)
);
