-- broken: what the owner makes next is open to everybody
-- says: PUBLIC | table app.pgcharter_future | SELECT
GRANT USAGE ON SCHEMA app TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE prb_owner IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
