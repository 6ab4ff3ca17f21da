-- broken: the key without the tenant is looked at when the transaction ends
-- says: prb_api | table app.customers | unique key
ALTER TABLE app.customers ADD CONSTRAINT email_once UNIQUE (email) DEFERRABLE INITIALLY DEFERRED;
