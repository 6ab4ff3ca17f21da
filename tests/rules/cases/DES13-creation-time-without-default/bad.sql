CREATE TABLE users (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE invoices (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE notes (id bigint PRIMARY KEY, created_on date DEFAULT CURRENT_DATE);
CREATE TABLE tasks (id bigint PRIMARY KEY, created_on date DEFAULT CURRENT_DATE);
CREATE TABLE plans (id bigint PRIMARY KEY, created_on date);
