CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text, active boolean DEFAULT true);
CREATE TABLE visits (day date, shop text, visitors int, weather text, note text, PRIMARY KEY (day, shop));
