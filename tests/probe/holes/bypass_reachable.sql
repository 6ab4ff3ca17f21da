-- broken: the application may become the role for maintenance
-- says: prb_api | role prb_maintenance | SET ROLE
GRANT prb_maintenance TO prb_api;
