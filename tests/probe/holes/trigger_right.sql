-- broken: who has TRIGGER on a table lets others run its code
-- says: prb_reports | table app.orders | TRIGGER
GRANT TRIGGER ON app.orders TO prb_reports;
