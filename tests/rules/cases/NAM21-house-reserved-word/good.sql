CREATE TABLE stock_data (id bigint PRIMARY KEY, payment_type text, data_source text, "user" text);
