CREATE TABLE invoices (id bigint PRIMARY KEY, number text NOT NULL);
CREATE TABLE "Credit ""Notes""" (id bigint PRIMARY KEY, invoice_id bigint NOT NULL REFERENCES invoices);
CREATE VIEW open_invoices AS SELECT id, number FROM invoices;
