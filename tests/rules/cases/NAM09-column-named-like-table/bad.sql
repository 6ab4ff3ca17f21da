CREATE TABLE status (status text PRIMARY KEY);
