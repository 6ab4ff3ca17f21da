CREATE TABLE tenants (id bigint PRIMARY KEY);
CREATE TABLE app_users (user_id bigint PRIMARY KEY, manager bigint REFERENCES app_users, tenant_id bigint REFERENCES tenants);
CREATE TABLE users (id bigint PRIMARY KEY, parent_id bigint REFERENCES users, tenant_id bigint REFERENCES tenants);
CREATE TABLE countries (code text PRIMARY KEY, name text);
CREATE TABLE currencies (currency_code char(3) PRIMARY KEY);
CREATE TABLE addresses (id bigint PRIMARY KEY, country_code text REFERENCES countries, country text REFERENCES countries, code text REFERENCES countries);
CREATE TABLE stock_data (id bigint PRIMARY KEY);
CREATE TABLE series (id bigint PRIMARY KEY);
CREATE TABLE kunden (id bigint PRIMARY KEY);
CREATE TABLE order_categories (id bigint PRIMARY KEY);
CREATE TABLE people (id bigint PRIMARY KEY);
CREATE TABLE sales (id bigint PRIMARY KEY);
CREATE TABLE parts (warehouse bigint, number bigint, PRIMARY KEY (warehouse, number));
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    user_id bigint REFERENCES users,
    author_id bigint REFERENCES users,
    approved_by bigint REFERENCES users,
    assignee_id bigint REFERENCES people,
    approving_user_id bigint REFERENCES users,
    billing_address_id bigint REFERENCES addresses,
    app_user_id bigint REFERENCES app_users,
    home_currency_code char(3) REFERENCES currencies,
    currency char(3) REFERENCES currencies,
    stock_data_id bigint REFERENCES stock_data,
    series_id bigint REFERENCES series,
    kunde_id bigint REFERENCES kunden,
    category_id bigint REFERENCES order_categories,
    person_id bigint REFERENCES people,
    sale_id bigint REFERENCES sales,
    sales_id bigint REFERENCES sales,
    w bigint, p bigint, FOREIGN KEY (w, p) REFERENCES parts
);
CREATE TABLE order_notes (id bigint PRIMARY KEY REFERENCES orders, body text);
