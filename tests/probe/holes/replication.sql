-- broken: the login may replicate: the write-ahead log holds the rows of all
-- says: prb_api | role prb_api | REPLICATION
ALTER ROLE prb_api REPLICATION;
