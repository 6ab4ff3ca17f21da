UPDATE orders SET state = 'old' WHERE state IS NULL;
CREATE INDEX CONCURRENTLY orders_state_idx ON orders (state);
