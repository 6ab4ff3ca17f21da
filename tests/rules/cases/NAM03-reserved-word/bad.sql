CREATE TABLE "user" (id bigint PRIMARY KEY, "end" timestamptz);
CREATE TABLE "order" (id bigint PRIMARY KEY);
