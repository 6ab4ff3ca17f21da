-- broken: anybody may create in a schema, as before PostgreSQL 15
-- says: PUBLIC | schema public | CREATE
GRANT ALL ON SCHEMA public TO PUBLIC;
