CREATE TYPE state AS ENUM ('new', 'paid');
COMMENT ON TYPE state IS 'new until the money is there.';
CREATE TABLE orders (id bigint PRIMARY KEY);
