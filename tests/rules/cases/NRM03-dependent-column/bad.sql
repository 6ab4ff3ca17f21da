CREATE TABLE customers (id bigint PRIMARY KEY, tenant_id bigint NOT NULL);
INSERT INTO customers SELECT n, n % 10 FROM generate_series(0, 199) AS n;
CREATE TABLE "Visits" (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    "postal Code" text NOT NULL,
    city text,
    -- what the foreign key leads to, under another name
    client text NOT NULL,
    remark text
);
INSERT INTO "Visits"
SELECT n, n * 7 % 200, 'code ' || (n * 13 % 300), CASE WHEN n % 20 > 0 THEN 'city ' || (n * 13 % 300 / 10) END, 'client ' || (n * 7 % 200 / 2), md5(n::text)
  FROM generate_series(1, 6000) AS n;
-- half of a key decides
CREATE TABLE enrolments (
    student_id bigint NOT NULL,
    course_code text NOT NULL,
    course_title text NOT NULL,
    grade integer,
    PRIMARY KEY (student_id, course_code)
);
INSERT INTO enrolments SELECT n / 20, 'course ' || (n % 20), 'title ' || (n % 20), n * 7 % 11 FROM generate_series(1, 4000) AS n;
ANALYZE;
