CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    name varchar(255) NOT NULL,
    code varchar(50) NOT NULL,
    description text,
    brand varchar(50)
);
CREATE INDEX idx_products_search ON products USING gin (to_tsvector('english', name || ' ' || coalesce(description, '') || coalesce(' ' || brand, '')));
-- a single column that is NULL has nothing to be found by
CREATE INDEX idx_products_description ON products USING gin (to_tsvector('english', description));
-- NOT NULL on both sides
CREATE INDEX idx_products_name_code ON products USING gin (to_tsvector('simple', name || ' ' || code));

CREATE TABLE articles (
    article_id uuid PRIMARY KEY,
    title text NOT NULL,
    body text,
    search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', coalesce(body, '')), 'B')
    ) STORED
);
