CREATE TABLE orders (
    order_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    placed_at timestamptz NOT NULL
);
CREATE TABLE order_notes (
    id smallserial PRIMARY KEY,
    note text NOT NULL
);
