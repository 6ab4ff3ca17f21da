CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    is_active boolean NOT NULL DEFAULT true,
    stock_level integer NOT NULL DEFAULT 0,
    rating smallint CHECK (rating BETWEEN 0 AND 5)
);
