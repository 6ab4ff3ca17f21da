-- broken: the login may make roles: before PostgreSQL 16 it may join any that is no superuser
-- says: prb_api | role prb_maintenance | GRANT
-- majors: 14-15
ALTER ROLE prb_api CREATEROLE;
