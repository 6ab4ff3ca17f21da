CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, "phoneNumber" text, country text NOT NULL);
GRANT SELECT ON customers TO PUBLIC;
CREATE TABLE payroll (id bigint PRIMARY KEY, iban text NOT NULL, month date NOT NULL);
GRANT SELECT (iban, month) ON payroll TO PUBLIC;
CREATE MATERIALIZED VIEW birthdays AS SELECT id, date '2000-01-01' AS birth_date, 'A' AS first_name FROM customers;
GRANT SELECT ON birthdays TO PUBLIC;
