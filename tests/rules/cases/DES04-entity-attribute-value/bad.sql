CREATE TABLE product_attributes (
    id bigint PRIMARY KEY,
    product_id uuid NOT NULL,
    attribute_name text NOT NULL,
    attribute_value text
);
