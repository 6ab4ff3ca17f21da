-- Products in a tree of categories, attributes in jsonb. House: `id`, plural, varchar and text mixed with reason.
CREATE TABLE categories (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parent_id bigint REFERENCES categories (id) ON DELETE CASCADE,
    name varchar(120) NOT NULL,
    slug varchar(120) NOT NULL,
    depth smallint NOT NULL DEFAULT 0,
    CONSTRAINT categories_sibling_names UNIQUE NULLS NOT DISTINCT (parent_id, name),
    CHECK (parent_id <> id)
);
CREATE INDEX categories_slug ON categories (slug);

-- Closure table: every ancestor of every category, itself included.
CREATE TABLE category_paths (
    ancestor_id bigint NOT NULL REFERENCES categories (id) ON DELETE CASCADE,
    descendant_id bigint NOT NULL REFERENCES categories (id) ON DELETE CASCADE,
    distance smallint NOT NULL,
    PRIMARY KEY (ancestor_id, descendant_id)
);
CREATE INDEX category_paths_descendant ON category_paths (descendant_id);

CREATE TABLE brands (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    category_id bigint NOT NULL REFERENCES categories (id),
    brand_id bigint REFERENCES brands (id) ON DELETE SET NULL,
    sku varchar(32) NOT NULL UNIQUE,
    gtin char(14) UNIQUE CHECK (length(gtin) = 14),
    name text NOT NULL,
    description text,
    attributes jsonb NOT NULL DEFAULT '{}',
    price numeric(12, 2) NOT NULL CHECK (price >= 0),
    currency char(3) NOT NULL DEFAULT 'EUR',
    weight_g integer CHECK (weight_g > 0),
    rating real,
    is_active boolean NOT NULL DEFAULT true,
    released_on date,
    search tsvector GENERATED ALWAYS AS (to_tsvector('english', name || ' ' || coalesce(description, ''))) STORED
);
CREATE INDEX products_category ON products (category_id, price) WHERE is_active;
CREATE INDEX products_category_id ON products (category_id);
CREATE INDEX products_brand_id ON products (brand_id) WHERE brand_id IS NOT NULL;
CREATE INDEX products_attributes ON products USING gin (attributes jsonb_path_ops);
CREATE INDEX products_color ON products ((attributes ->> 'color'));
CREATE INDEX products_search ON products USING gin (search);
CREATE INDEX products_name_prefix ON products (name text_pattern_ops);
CREATE INDEX products_name ON products (name);

CREATE TABLE product_images (
    product_id bigint NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    position smallint NOT NULL,
    url text NOT NULL,
    alt text NOT NULL DEFAULT '',
    -- deferrable: reordering swaps two positions in one statement
    PRIMARY KEY (product_id, position) DEFERRABLE
);

-- Which attributes a category knows, each with its type: metadata, not values.
CREATE TABLE attribute_definitions (
    category_id bigint NOT NULL REFERENCES categories (id) ON DELETE CASCADE,
    attribute text NOT NULL,
    type text NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'enum')),
    is_required boolean NOT NULL DEFAULT false,
    PRIMARY KEY (category_id, attribute)
);
CREATE TABLE attribute_options (
    category_id bigint NOT NULL,
    attribute text NOT NULL,
    value text NOT NULL,
    label text NOT NULL,
    PRIMARY KEY (category_id, attribute, value),
    FOREIGN KEY (category_id, attribute) REFERENCES attribute_definitions ON DELETE CASCADE
);

CREATE TABLE price_history (
    product_id bigint NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    changed_at timestamptz NOT NULL DEFAULT now(),
    price numeric(12, 2) NOT NULL,
    PRIMARY KEY (product_id, changed_at)
);
CREATE FUNCTION record_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO price_history (product_id, price) VALUES (NEW.id, NEW.price);
    RETURN NULL;
END $$;
CREATE TRIGGER record_price AFTER INSERT OR UPDATE OF price ON products FOR EACH ROW EXECUTE FUNCTION record_price();
