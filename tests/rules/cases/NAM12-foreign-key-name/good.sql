CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint, user_id bigint, at date, PRIMARY KEY (id, at), CONSTRAINT fk_orders_user_id FOREIGN KEY (user_id) REFERENCES users)
    PARTITION BY RANGE (at);
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
