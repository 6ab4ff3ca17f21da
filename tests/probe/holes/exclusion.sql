-- broken: no two orders of anybody at the same time: bookings of others are told, and kept out
-- says: prb_api | table app.orders | values of others
ALTER TABLE app.orders ADD COLUMN slot tsrange NOT NULL DEFAULT 'empty', ADD EXCLUDE USING gist (slot WITH &&);
