-- right: names that must be quoted, a column of users beside one of tenants, a partition for each tenant, a policy by the role's own name
CREATE ROLE "prb_Öwner" NOLOGIN;
CREATE ROLE "prb_App 1" LOGIN;
CREATE SCHEMA "Mein Schema" AUTHORIZATION "prb_Öwner";
GRANT USAGE ON SCHEMA "Mein Schema" TO "prb_App 1";
SET ROLE "prb_Öwner";
CREATE TABLE "Mein Schema"."Ta""ble's" (
    "Tenant Id" text NOT NULL DEFAULT current_setting('my.tenant', true),
    "select" integer NOT NULL,
    "Grö\ße" numeric CHECK ("Grö\ße" > 0),
    "At" tstzrange,
    PRIMARY KEY ("Tenant Id", "select")
);
CREATE TABLE "Mein Schema"."Split" ("Tenant Id" text NOT NULL, "Value" text) PARTITION BY HASH ("Tenant Id");
CREATE TABLE "Mein Schema"."Split 0" PARTITION OF "Mein Schema"."Split" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Mein Schema"."Split 1" PARTITION OF "Mein Schema"."Split" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "Mein Schema"."Own" (id integer PRIMARY KEY, "Who" name NOT NULL DEFAULT current_user);
ALTER TABLE "Mein Schema"."Ta""ble's" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE "Mein Schema"."Split" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE "Mein Schema"."Own" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "Só" ON "Mein Schema"."Ta""ble's" USING ("Tenant Id" = nullif(current_setting('my.tenant', true), ''));
CREATE POLICY "Só" ON "Mein Schema"."Split" USING ("Tenant Id" = nullif(current_setting('my.tenant', true), ''));
CREATE POLICY "Só" ON "Mein Schema"."Own" USING ("Who" = current_user);
CREATE VIEW "Mein Schema"."V" WITH (security_invoker = true) AS SELECT * FROM "Mein Schema"."Ta""ble's";
CREATE FUNCTION "Mein Schema"."F"("p A" integer, VARIADIC "p B" text[]) RETURNS SETOF "Mein Schema"."Ta""ble's" LANGUAGE sql STABLE
    AS $$ SELECT * FROM "Mein Schema"."Ta""ble's" WHERE "select" = "p A" OR "Tenant Id" = ANY ("p B") $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON "Mein Schema"."Ta""ble's", "Mein Schema"."Split" TO "prb_App 1";
GRANT SELECT, UPDATE ON "Mein Schema"."Own" TO "prb_App 1";
GRANT SELECT ON "Mein Schema"."V" TO "prb_App 1";
RESET ROLE;
