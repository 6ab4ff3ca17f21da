-- broken: the login may not become the role above tenants, but may grant that to itself
-- says: prb_api | role prb_maintenance | GRANT
-- majors: 16-99
GRANT prb_maintenance TO prb_api WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
