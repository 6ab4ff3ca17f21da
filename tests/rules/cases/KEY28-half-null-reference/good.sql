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
-- a generated half is never missing
CREATE TABLE assets (id bigint, kind text, PRIMARY KEY (id, kind));
CREATE TABLE covers (
    id bigint PRIMARY KEY, asset_id bigint, asset_kind text GENERATED ALWAYS AS ('image') STORED,
    FOREIGN KEY (asset_id, asset_kind) REFERENCES assets
);
-- a trigger sees to both
CREATE TABLE depots (id bigint PRIMARY KEY, country text, region text, FOREIGN KEY (country, region) REFERENCES regions);
CREATE FUNCTION both_or_none() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.region IS NULL THEN NEW.country := NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER both_or_none BEFORE INSERT OR UPDATE ON depots FOR EACH ROW EXECUTE FUNCTION both_or_none();
