CREATE TABLE order_items (id bigint PRIMARY KEY, unit_price_2 numeric, _hidden integer, x integer);
CREATE FUNCTION unit_price(order_items) RETURNS numeric LANGUAGE sql AS 'SELECT 1.0';
