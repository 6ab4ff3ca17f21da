UPDATE orders SET state = 'old' WHERE state IS NULL;
CREATE INDEX CONCURRENTLY orders_state_idx ON orders (state);
ANALYZE orders;
UPDATE items SET kind = 'x' WHERE kind IS NULL;
CREATE INDEX CONCURRENTLY items_other_idx ON items (other);
