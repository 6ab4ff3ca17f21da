CREATE TABLE users (
    id bigserial PRIMARY KEY,
    name text NOT NULL
);
INSERT INTO users (name) VALUES ('Ada'), ('Grace');

CREATE TABLE "Ticket" (
    "ticketNo" serial NOT NULL UNIQUE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE
);
