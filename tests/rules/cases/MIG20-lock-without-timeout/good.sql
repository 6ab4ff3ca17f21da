SET lock_timeout = '2s';
ALTER TABLE orders ADD COLUMN note text;
CREATE TABLE items (id bigint PRIMARY KEY);
ALTER TABLE items ADD COLUMN note text;
CREATE INDEX CONCURRENTLY orders_note_idx ON orders (note);
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_check;
CREATE TRIGGER audit AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION audit();
