CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE places (id bigint PRIMARY KEY);
CREATE TABLE order_categories (id bigint PRIMARY KEY);
CREATE TABLE "Vehicles" (id bigint PRIMARY KEY);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    usr bigint REFERENCES users,
    users_id bigint REFERENCES users,
    origin_id bigint REFERENCES places,
    "placeId" bigint REFERENCES places,
    cat bigint REFERENCES order_categories,
    approval_id bigint REFERENCES users,
    vehicle bigint REFERENCES "Vehicles"
);
CREATE TABLE trips (id bigint PRIMARY KEY, place bigint REFERENCES places, place_id bigint REFERENCES places);
