CREATE TABLE orders (id bigint PRIMARY KEY, tenant_id bigint);
CREATE TABLE notes (id bigint PRIMARY KEY, tenant_id bigint);
CREATE VIEW tenant_notes AS SELECT 1 AS one;
CREATE TABLE "Big Orders" (id bigint PRIMARY KEY, tenant_id bigint);
