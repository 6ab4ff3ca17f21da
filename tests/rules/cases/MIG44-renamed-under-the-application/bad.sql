ALTER TABLE app.orders RENAME COLUMN total TO gross;
ALTER TABLE orders RENAME TO sales;
ALTER TYPE mood RENAME VALUE 'good' TO 'fine';
ALTER TABLE items SET SCHEMA archive;
ALTER VIEW totals RENAME TO sums;
ALTER SCHEMA app RENAME TO shop;
