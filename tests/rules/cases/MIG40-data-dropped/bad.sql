DROP TABLE app.orders, "Alt";
ALTER TABLE customers DROP COLUMN phone, DROP COLUMN IF EXISTS fax;
TRUNCATE events;
DROP SCHEMA archive;
DO $do$ BEGIN
    ALTER TABLE talks DROP COLUMN IF EXISTS title;
    EXECUTE 'TRUNCATE talks';
END $do$;
