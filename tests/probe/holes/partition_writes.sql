-- broken: rows are put into a partition, past the policies of its table
-- says: prb_api | table app.visits_2027 | COPY FROM
GRANT INSERT ON app.visits_2027 TO prb_api;
