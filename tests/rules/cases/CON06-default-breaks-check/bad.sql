CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    status varchar(20) NOT NULL DEFAULT 'new' CONSTRAINT chk_status CHECK (status IN ('open', 'paid', 'shipped'))
);
