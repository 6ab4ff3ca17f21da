CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    status varchar(20) NOT NULL CHECK (status IN ('draft', 'paid', 'shipped')),
    channel text CONSTRAINT chk_channel CHECK (channel = 'web' OR channel = 'shop')
);
