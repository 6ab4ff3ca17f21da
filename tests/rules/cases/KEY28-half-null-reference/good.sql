CREATE TABLE countries (country text PRIMARY KEY);
CREATE TABLE regions (country text, region text, PRIMARY KEY (country, region));
CREATE TABLE shops (id bigint PRIMARY KEY, country text NOT NULL, region text, FOREIGN KEY (country, region) REFERENCES regions);
CREATE TABLE offices (id bigint PRIMARY KEY, country text, region text, FOREIGN KEY (country, region) REFERENCES regions MATCH FULL);
CREATE TABLE stores (
    id bigint PRIMARY KEY, country text, region text, FOREIGN KEY (country, region) REFERENCES regions,
    CHECK ((country IS NULL) = (region IS NULL))
);
-- the country by itself is looked up too
CREATE TABLE people (
    id bigint PRIMARY KEY, country text REFERENCES countries, region text, FOREIGN KEY (country, region) REFERENCES regions
);
