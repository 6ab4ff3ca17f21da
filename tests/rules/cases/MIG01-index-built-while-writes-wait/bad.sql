CREATE INDEX orders_customer_id_idx ON app.orders (customer_id);
CREATE UNIQUE INDEX IF NOT EXISTS "Kopf-Index" ON "Aufträge" (lower(nummer)) WHERE gelöscht_am IS NULL;
CREATE INDEX ON orders USING gin (tags);
