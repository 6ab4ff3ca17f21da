UPDATE orders SET state = 'old';
UPDATE app.orders SET total = 0 WHERE total IS NULL;
DELETE FROM events WHERE created_at < now() - interval '1 year';
UPDATE orders o SET name = c.name FROM customers c WHERE c.id = o.customer_id;
WITH ranked AS (SELECT b.id AS bid_id, row_number() OVER (PARTITION BY b.id) AS rn FROM app.bids b)
UPDATE app.bids b SET place = ranked.rn FROM ranked WHERE b.id = ranked.bid_id AND ranked.rn = 1 AND b.place IS NULL;
DO $$
BEGIN
    UPDATE app.talks SET counted = 0;
    DELETE FROM app.talks WHERE ended IS NULL;
END $$;
