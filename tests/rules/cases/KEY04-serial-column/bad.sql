CREATE TABLE users (
    id bigserial PRIMARY KEY,
    name text NOT NULL
);
INSERT INTO users (name) VALUES ('Ada'), ('Grace');

CREATE TABLE "Ticket" (
    "ticketNo" serial NOT NULL UNIQUE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE
);

-- a sequence that nobody owns stays behind when its table goes
CREATE SEQUENCE invoice_id_seq;
CREATE TABLE invoices (
    invoice_id bigint PRIMARY KEY DEFAULT nextval('invoice_id_seq')
);
