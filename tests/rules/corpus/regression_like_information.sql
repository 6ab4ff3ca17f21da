-- In the spirit of the information schema: domains for its words, views that show each role what is its own, tables of facts.
CREATE SCHEMA about;
CREATE DOMAIN about.cardinal_number AS integer CHECK (VALUE >= 0);
CREATE DOMAIN about.character_data AS character varying COLLATE "C";
CREATE DOMAIN about.sql_identifier AS name;
CREATE DOMAIN about.yes_or_no AS character varying(3) COLLATE "C" CHECK (VALUE IN ('YES', 'NO'));
CREATE DOMAIN about.time_stamp AS timestamp(2) with time zone DEFAULT current_timestamp(2);

CREATE TABLE about.features (
    feature_id about.character_data NOT NULL,
    sub_feature_id about.character_data NOT NULL,
    feature_name about.character_data NOT NULL,
    is_supported about.yes_or_no NOT NULL,
    is_verified_by about.character_data,
    remarks about.character_data,
    noted_at about.time_stamp,
    PRIMARY KEY (feature_id, sub_feature_id)
);
CREATE TABLE about.sizing (
    sizing_id about.cardinal_number PRIMARY KEY,
    sizing_name about.character_data NOT NULL,
    supported_value about.cardinal_number
);

CREATE VIEW about.relations WITH (security_barrier) AS
SELECT CAST(n.nspname AS about.sql_identifier) AS relation_schema,
       CAST(c.relname AS about.sql_identifier) AS relation_name,
       CAST(CASE c.relkind WHEN 'r' THEN 'BASE TABLE' WHEN 'v' THEN 'VIEW' END AS about.character_data) AS relation_kind,
       CAST(CASE WHEN c.relkind = 'r' THEN 'YES' ELSE 'NO' END AS about.yes_or_no) AS is_insertable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v') AND (pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, 'SELECT'));
CREATE VIEW about.my_roles AS
SELECT r.rolname::about.sql_identifier AS role_name, m.admin_option
FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles me ON me.oid = m.member
WHERE me.rolname = CURRENT_USER;
CREATE VIEW about.features_supported AS
SELECT feature_id, feature_name FROM about.features WHERE is_supported = 'YES' AND sub_feature_id = '';
GRANT USAGE ON SCHEMA about TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA about TO PUBLIC;

CREATE FUNCTION about.char_max_length(typid oid, typmod integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT
    RETURN CASE WHEN $2 = -1 THEN NULL WHEN $1 IN (1042, 1043) THEN $2 - 4 WHEN $1 IN (1560, 1562) THEN $2 END;
CREATE FUNCTION about.relation_size(relation regclass) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_total_relation_size(relation)';
