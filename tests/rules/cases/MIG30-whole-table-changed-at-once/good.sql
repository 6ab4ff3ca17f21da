UPDATE settings SET value = 'x' WHERE name = 'state';
UPDATE orders SET state = 'old' WHERE id BETWEEN 1 AND 1000 AND state IS NULL;
DELETE FROM orders WHERE id IN (1, 2, 3);
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE old LIMIT 1000);
CREATE TABLE kinds (id bigint, name text);
UPDATE kinds SET name = 'x';
-- pgcharter: batched by id
UPDATE orders SET state = 'old' WHERE state IS NULL;
DELETE FROM orders WHERE id >= 1000 AND id < 2000;
DELETE FROM orders WHERE (id, kind) IN ((1, 'a'), (2, 'b'));
UPDATE orders SET state = 'old' WHERE id = ANY ($1::bigint[]);
UPDATE app.bids b SET place = 1 FROM app.rounds r WHERE r.id = b.round AND b.id = 17;
DO $$
DECLARE last bigint := 0;
BEGIN
    UPDATE app.talks SET counted = 0 WHERE id = last;
    LOOP
        UPDATE app.talks SET counted = 0 WHERE counted IS NULL;
        EXIT WHEN NOT FOUND;
    END LOOP;
END $$;
