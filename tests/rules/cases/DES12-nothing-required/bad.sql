CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text, active boolean DEFAULT true);
CREATE TABLE shelves (shop text, number int, width int, height int, note text, PRIMARY KEY (shop, number));
