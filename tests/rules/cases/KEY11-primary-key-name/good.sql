CREATE TABLE users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);
CREATE TABLE order_items (
    order_item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

-- the domain's prefix may be left out of the key
CREATE TABLE saga_steps (
    step_id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);

CREATE TABLE currencies (
    code char(3) PRIMARY KEY
);
CREATE TABLE profiles (
    user_id uuid PRIMARY KEY REFERENCES users
);
