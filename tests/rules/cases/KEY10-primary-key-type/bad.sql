CREATE TABLE users (
    user_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE orders (
    order_id bigserial PRIMARY KEY
);
