-- The shop's orders.
CREATE TABLE app.orders (
	id       bigint,
	amount   float8 NOT NULL, -- amount in euro
	customer bigint REFERENCES app.customers (id)
);

CREATE TABLE app.customers (id bigint PRIMARY KEY, "full name" text, home_address_of_the_customer_as_written_on_the_last_letter_received text, note text);
