CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE teams (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY);
CREATE TABLE products (id bigint PRIMARY KEY);
CREATE TABLE app_roles (id bigint PRIMARY KEY);
CREATE TABLE app_rights (id bigint PRIMARY KEY);
CREATE TABLE users_teams (user_id bigint REFERENCES users, team_id bigint REFERENCES teams, PRIMARY KEY (user_id, team_id));
CREATE TABLE teams_products (product_id bigint REFERENCES products, team_id bigint REFERENCES teams, PRIMARY KEY (product_id, team_id));
CREATE TABLE users_products_roles (product_id bigint REFERENCES products, user_id bigint REFERENCES users, role text, PRIMARY KEY (user_id, product_id));
CREATE TABLE app_roles_rights (role_id bigint REFERENCES app_roles, right_id bigint REFERENCES app_rights, PRIMARY KEY (role_id, right_id));
CREATE TABLE order_items (order_id bigint REFERENCES orders, product_id bigint REFERENCES products, quantity integer, price numeric(10, 2),
    PRIMARY KEY (order_id, product_id));
CREATE TABLE friendships (user_id bigint REFERENCES users, friend_id bigint REFERENCES users, PRIMARY KEY (user_id, friend_id));
CREATE TABLE enrollments (id bigint PRIMARY KEY, user_id bigint REFERENCES users, team_id bigint REFERENCES teams, UNIQUE (user_id, team_id));
CREATE TABLE certificates (id bigint PRIMARY KEY, enrollment_id bigint REFERENCES enrollments);
CREATE TABLE reviews (user_id bigint REFERENCES users, product_id bigint REFERENCES products, body text, PRIMARY KEY (user_id, product_id));
CREATE TABLE shifts (user_id bigint REFERENCES users, team_id bigint REFERENCES teams, day date, PRIMARY KEY (user_id, team_id, day));
CREATE TABLE visits (user_id bigint REFERENCES users, team_id bigint REFERENCES teams, at timestamptz);
