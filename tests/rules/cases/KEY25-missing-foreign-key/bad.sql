CREATE SCHEMA shop;
CREATE TABLE shop.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE shop.categories (
    category_id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL,
    category_id uuid
);
