UPDATE orders SET state = 'old';
UPDATE app.orders SET total = 0 WHERE total IS NULL;
DELETE FROM events WHERE created_at < now() - interval '1 year';
UPDATE orders o SET name = c.name FROM customers c WHERE c.id = o.customer_id;
