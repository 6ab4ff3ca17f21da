CREATE TABLE users (
    user_id uuid PRIMARY KEY
);
CREATE TABLE orders (
    order_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    payer_id uuid NOT NULL,
    CONSTRAINT fk_orders_user FOREIGN KEY (user_id) REFERENCES users (user_id),
    CONSTRAINT fk_orders_payer FOREIGN KEY (payer_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT fk_orders_payer_user FOREIGN KEY (payer_id) REFERENCES users (user_id) ON DELETE RESTRICT
);
