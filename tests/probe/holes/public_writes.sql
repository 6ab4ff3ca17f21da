-- broken: a table that belongs to no tenant can be written by anybody
-- says: PUBLIC | table app.countries | UPDATE
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT ALL ON app.countries TO PUBLIC;
