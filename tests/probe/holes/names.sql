-- base: names
-- broken: as elsewhere, under names that must be quoted; a policy by the role's own name that lets others in
-- says: prb_App 1 | table "Mein Schema"."Ta""ble's" | SELECT
-- says: prb_App 1 | table "Mein Schema"."Ta""ble's" | INSERT
-- says: prb_App 1 | table "Mein Schema"."Split 0" | SELECT
-- says: prb_App 1 | table "Mein Schema"."Own" | UPDATE
-- says: prb_App 1 | function "Mein Schema"."F"(integer, text[]) | EXECUTE
CREATE POLICY "Loch" ON "Mein Schema"."Ta""ble's" USING ("select" > 0);
GRANT SELECT ON "Mein Schema"."Split 0", "Mein Schema"."Split 1" TO "prb_App 1";
CREATE POLICY "Loch" ON "Mein Schema"."Own" FOR UPDATE USING (id > 0);
CREATE POLICY "Sieht" ON "Mein Schema"."Own" FOR SELECT USING (id > 0);
