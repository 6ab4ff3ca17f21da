CREATE TABLE shops (
    shop_id uuid PRIMARY KEY,
    opens time NOT NULL,
    time_zone text NOT NULL,
    opened_at timestamptz
);
