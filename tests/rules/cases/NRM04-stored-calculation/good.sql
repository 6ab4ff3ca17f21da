-- held together by the database, by a comment, or not in truth
CREATE TABLE sales (
    id bigint PRIMARY KEY,
    quantity integer NOT NULL,
    unit_price numeric(10, 2) NOT NULL,
    net numeric(12, 2) GENERATED ALWAYS AS (quantity * unit_price) STORED,
    tax numeric(12, 2) NOT NULL,
    gross numeric(12, 2) NOT NULL CHECK (gross = quantity * unit_price + tax)
);
INSERT INTO sales (id, quantity, unit_price, tax, gross)
SELECT n, q, p, t, q * p + t
  FROM generate_series(1, 3000) AS n, LATERAL (SELECT n * 7 % 9 + 1 AS q, (n * 37 % 1009)::numeric / 100 AS p, (n * 11 % 97)::numeric / 10 AS t) AS x;
CREATE TABLE checked_sums (
    id bigint PRIMARY KEY, pieces integer NOT NULL, spare_pieces integer NOT NULL, all_pieces integer NOT NULL,
    CONSTRAINT chk_all CHECK (all_pieces = pieces + spare_pieces)
);
INSERT INTO checked_sums SELECT n, n % 50, n * 7 % 20, n % 50 + n * 7 % 20 FROM generate_series(1, 3000) AS n;
CREATE TABLE bookings (id bigint PRIMARY KEY, adults integer NOT NULL, children integer NOT NULL, guests integer NOT NULL);
COMMENT ON COLUMN bookings.guests IS 'Snapshot of adults + children when it was booked; the desk may change it.';
INSERT INTO bookings SELECT n, n % 50, n * 7 % 20, n % 50 + n * 7 % 20 FROM generate_series(1, 3000) AS n;
-- always one piece: the total only equals the price
CREATE TABLE single_sales (id bigint PRIMARY KEY, quantity integer NOT NULL, price integer NOT NULL, total integer NOT NULL);
INSERT INTO single_sales SELECT n, 1, n % 300, n % 300 FROM generate_series(1, 3000) AS n;
-- one row differs
CREATE TABLE haggled (id bigint PRIMARY KEY, quantity integer NOT NULL, price integer NOT NULL, total integer NOT NULL);
INSERT INTO haggled SELECT n, n % 9, n % 300, (n % 9) * (n % 300) - (n = 1500)::integer FROM generate_series(1, 3000) AS n;
-- larger than the type of the operands can hold
CREATE TABLE wide (id bigint PRIMARY KEY, a_size bigint NOT NULL, b_size bigint NOT NULL, c_size bigint NOT NULL);
INSERT INTO wide SELECT n, 9223372036854775000 - n, 9223372036854770000 - 3 * n, n FROM generate_series(1, 3000) AS n;
ANALYZE;
