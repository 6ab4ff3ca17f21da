-- broken: anybody can turn a sequence back
-- says: PUBLIC | sequence app.numbers | setval
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT ALL ON SEQUENCE app.numbers TO PUBLIC;
