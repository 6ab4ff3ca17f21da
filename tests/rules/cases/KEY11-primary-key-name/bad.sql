CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);
CREATE TABLE categories (
    cat_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
