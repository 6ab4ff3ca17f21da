CREATE TABLE order_items (id bigint PRIMARY KEY, größe numeric, price$ numeric, value text, "position" integer);
