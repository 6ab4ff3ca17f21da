-- broken: a table without a tenant's column hangs on one with, and anybody with a privilege reads all of it
-- says: prb_api | table app.shipments | SELECT
CREATE TABLE app.shipments (id uuid PRIMARY KEY, tenant uuid NOT NULL, order_id bigint NOT NULL, address text,
    FOREIGN KEY (tenant, order_id) REFERENCES app.orders);
ALTER TABLE app.shipments OWNER TO prb_owner;
GRANT SELECT ON app.shipments TO prb_api;
