CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    name varchar(255) NOT NULL,
    description text,
    brand varchar(50)
);
CREATE INDEX idx_products_search ON products USING gin (to_tsvector('english', name || ' ' || description));

CREATE TABLE articles (
    article_id uuid PRIMARY KEY,
    title text NOT NULL,
    body text,
    search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', body), 'B')
    ) STORED
);
CREATE INDEX idx_articles_search ON articles USING gin (search);
