-- broken: the application may become a superuser
-- says: prb_reports | role prb_root | SET ROLE
CREATE ROLE prb_root SUPERUSER NOLOGIN;
GRANT prb_root TO prb_reports;
ALTER DEFAULT PRIVILEGES FOR ROLE prb_root IN SCHEMA app GRANT SELECT ON TABLES TO prb_owner;
