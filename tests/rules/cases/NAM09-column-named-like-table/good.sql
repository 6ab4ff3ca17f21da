CREATE TABLE status (code text PRIMARY KEY);
CREATE TABLE statuses (status text PRIMARY KEY);
