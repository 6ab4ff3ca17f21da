CREATE TABLE orders (id bigint PRIMARY KEY, is_paid boolean, has_items boolean, paid text);
CREATE TABLE settings (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), deleted_at boolean);
