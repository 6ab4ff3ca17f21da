CREATE TABLE shops (
    shop_id uuid PRIMARY KEY,
    opens timetz NOT NULL
);
