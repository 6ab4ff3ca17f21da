CREATE TABLE invoices (
    id bigint PRIMARY KEY,
    total_amount numeric(19, 4) NOT NULL,
    open_amount numeric,
    tax_rate numeric(5, 4),
    weight numeric(8, 3),
    price_level integer
);
CREATE DOMAIN money_amount AS numeric(19, 4);
CREATE TABLE refunds (id bigint PRIMARY KEY, amount money_amount NOT NULL);
