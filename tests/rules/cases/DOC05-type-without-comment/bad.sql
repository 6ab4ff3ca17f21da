CREATE TYPE state AS ENUM ('new', 'paid');
CREATE DOMAIN email AS text CHECK (value LIKE '%@%');
