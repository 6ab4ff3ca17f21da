CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    status varchar(20) NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid', 'shipped')),
    channel text NOT NULL DEFAULT 'it''s us' CHECK (channel IN ('web', 'it''s us')),
    -- another column decides too
    kind text NOT NULL DEFAULT 'draft',
    CHECK (kind IN ('gift', 'sale') OR status = 'open'),
    priority text DEFAULT 'low' CHECK (priority IN ('high') OR priority LIKE 'l%')
);
