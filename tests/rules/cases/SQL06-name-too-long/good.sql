CREATE TABLE orders (
    id bigint PRIMARY KEY, -- a_comment_with_a_word_that_is_much_longer_than_any_identifier_may_ever_be_in_here
    note text DEFAULT 'a_string_with_a_word_that_is_much_longer_than_any_identifier_may_ever_be_in_here',
    customer_id bigint CONSTRAINT fk_orders_customer_id_references_customers_id_on_delete_nothing REFERENCES customers
);
CREATE TABLE rooms ("hotel id" char(4), kind varchar(20), price float NOT NULL, name_of_the_room text, floor integer, "order" integer);
