CREATE SCHEMA billing;
DO $$ BEGIN FOR n IN 1..41 LOOP EXECUTE format('CREATE TABLE thing_%s (id bigint PRIMARY KEY)', n); END LOOP; END $$;
CREATE TABLE billing.invoices (id bigint PRIMARY KEY);
