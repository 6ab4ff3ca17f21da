CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint CONSTRAINT fk_orders_customer_id_references_customers_id_on_delete_restrict_now REFERENCES customers
);
