CREATE TABLE regions (country text, region text, PRIMARY KEY (country, region));
CREATE TABLE shops (
    id bigint PRIMARY KEY,
    country text,
    "Region" text,
    CONSTRAINT shops_region FOREIGN KEY (country, "Region") REFERENCES regions (country, region) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE
);
