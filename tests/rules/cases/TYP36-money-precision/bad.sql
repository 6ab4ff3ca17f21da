CREATE TABLE invoices (
    id bigint PRIMARY KEY,
    total_amount numeric(10, 2) NOT NULL,
    "unitPrice" numeric(12, 6) NOT NULL,
    net_price numeric(19, 2)
);
