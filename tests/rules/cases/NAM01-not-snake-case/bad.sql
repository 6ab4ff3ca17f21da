CREATE TABLE "OrderItems" (id bigint PRIMARY KEY, "unitPrice" numeric, "per cent" numeric);
CREATE VIEW items AS SELECT "unitPrice" FROM "OrderItems";
