-- broken: the login has a tenant of its own from the start, so who forgets the tenant works for that one
-- says: prb_api | role prb_api | setting
ALTER ROLE prb_api SET app.tenant = '99999999-0000-4000-8000-000000000001';
