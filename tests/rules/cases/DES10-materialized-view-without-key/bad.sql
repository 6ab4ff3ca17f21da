CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    placed_on date NOT NULL
);
CREATE MATERIALIZED VIEW orders_by_day AS SELECT placed_on, count(*) AS orders FROM orders GROUP BY placed_on;
