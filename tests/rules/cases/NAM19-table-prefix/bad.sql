CREATE TABLE invoices (id bigint PRIMARY KEY);
CREATE TABLE "Shop_orders" (id bigint PRIMARY KEY);
CREATE TABLE shop_ (id bigint PRIMARY KEY);
