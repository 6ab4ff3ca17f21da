CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    status varchar(20) NOT NULL CHECK (status IN ('draft', 'paid', 'shipped')),
    channel text CONSTRAINT chk_channel CHECK (channel = 'web' OR channel = 'shop')
);
CREATE DOMAIN channel AS text CHECK (VALUE IN ('web', 'shop'));
CREATE TABLE payments (id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'new', channel channel, "Order Status" varchar(20) DEFAULT 'a');
