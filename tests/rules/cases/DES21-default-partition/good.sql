CREATE TABLE visits (
    visited_on date NOT NULL,
    page text NOT NULL
) PARTITION BY RANGE (visited_on);
CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

-- a new country is no forgotten partition
CREATE TABLE customers (
    customer_id uuid NOT NULL,
    country char(2) NOT NULL
) PARTITION BY LIST (country);
CREATE TABLE customers_de PARTITION OF customers FOR VALUES IN ('DE');
CREATE TABLE customers_other PARTITION OF customers DEFAULT;
