CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    placed_on date NOT NULL
);
CREATE MATERIALIZED VIEW orders_by_day AS SELECT placed_on, count(*) AS orders FROM orders GROUP BY placed_on;
CREATE UNIQUE INDEX uq_orders_by_day ON orders_by_day (placed_on);
CREATE VIEW open_orders AS SELECT * FROM orders;
