CREATE TABLE "OrderItems" (id bigint PRIMARY KEY, "unit price" numeric);
CREATE VIEW items AS SELECT "unit price", id AS "Id" FROM "OrderItems";
