CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text, phone text);
-- extends another table's row
CREATE TABLE customer_profiles (customer_id bigint PRIMARY KEY REFERENCES customers, bio text, picture_url text, birthday date);
CREATE TABLE customer_history (id bigint PRIMARY KEY, name text, email text, phone text);
CREATE TABLE tags (id bigint PRIMARY KEY, name text, colour text);
-- one of the two, says the check
CREATE TABLE contacts (id bigint PRIMARY KEY, email text, phone text, note text, CHECK (num_nonnulls(email, phone) >= 1));
CREATE DOMAIN label AS text NOT NULL;
CREATE TABLE boxes (id bigint PRIMARY KEY, label label, width int, height int);
CREATE SCHEMA staging;
CREATE TABLE staging.feed (id bigint PRIMARY KEY, a text, b text, c text);
CREATE TABLE bare (a text, b text, c text);
-- what was measured then may be missing
CREATE TABLE samples (sensor bigint, at timestamptz, volts real, amperes real, note text, PRIMARY KEY (sensor, at));
-- the key says what the row is about; any of the rest may be left out
CREATE TABLE opening_hours (weekday smallint PRIMARY KEY, opens time, closes time, note text);
CREATE TABLE user_preferences (id bigint PRIMARY KEY, theme text, locale text, page_size int);
CREATE TABLE saved_filters (id bigint PRIMARY KEY, status text, from_date date, to_date date);
CREATE TABLE survey_answers (id uuid PRIMARY KEY, q1 smallint, q2 smallint, remark text);
