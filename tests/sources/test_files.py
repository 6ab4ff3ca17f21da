"""SQL files built on a real server: what is run, what is refused, what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import every_major
from tests.sources.conftest import Read

from pgcharter import sources
from pgcharter.catalog.reading import Reading
from pgcharter.names import ObjectId
from pgcharter.servers import scratch
from pgcharter.servers.lifecycle import Server
from pgcharter.sources.build import Builder
from pgcharter.sqltext import parse


def tables(reading: Reading) -> list[str]:
    assert reading.catalog is not None
    return [t.id.sql() for t in reading.catalog.tables]


def place(reading: Reading, kind: str, name: str, part: str = "", schema: str = "public") -> str:
    found = reading.places[ObjectId(kind, schema, name, part)]
    return f"{found.line}:{found.column}"


@every_major
def test_a_file_is_built_on_every_version(major: int, read_sql: Read) -> None:
    reading = read_sql("CREATE TABLE t (id int PRIMARY KEY);\nCREATE VIEW v AS SELECT id FROM t;", major=major)
    assert reading.catalog is not None
    assert (reading.catalog.major, tables(reading), [v.name for v in reading.catalog.views]) == (major, ["public.t"], ["v"])
    assert reading.findings == ()


def test_our_own_bookkeeping_is_not_in_the_catalog(read_sql: Read) -> None:
    catalog = read_sql("CREATE TABLE t (x int);").catalog
    assert catalog is not None
    assert [s.name for s in catalog.schemas] == ["public"]
    assert catalog.event_triggers == ()
    assert catalog.functions == ()
    assert catalog.database.name == ""
    assert not [i for i, _ in catalog.objects() if "pgcharter" in i.sql() or "scratch" in i.sql()]


def test_a_refused_statement_becomes_a_finding_and_the_rest_goes_on(read_sql: Read) -> None:
    reading = read_sql("CREATE TABLE a (x int);\nCREATE TABLE b (\n  y inte\n);\nCREATE TABLE c (z int);\n")
    assert tables(reading) == ["public.a", "public.c"]
    (finding,) = reading.findings
    assert (finding.code, finding.place.line, finding.place.column) == ("SRC01", 3, 5)  # type: ignore[union-attr]
    assert finding.message == 'PostgreSQL refuses CREATE TABLE b: type "inte" does not exist'
    assert [s.text[:14] for s in reading.unbuilt] == ["CREATE TABLE b"]


def test_what_only_follows_from_a_refusal_says_so(read_sql: Read) -> None:
    reading = read_sql("CREATE TABLE b (y inte);\nCREATE INDEX b_y ON b (y);\nALTER TABLE b ADD z int;\n")
    first, *others = reading.findings
    assert "follows_from" not in first.facts
    assert [f.facts["follows_from"].rpartition(":")[2] for f in others] == ["1", "1"]


def test_postgresql_positions_count_characters(read_sql: Read) -> None:
    (finding,) = read_sql("CREATE TABLE \"é😀\" (x int DEFAULT '€' || nope);").findings
    assert finding.place is not None
    assert finding.place.column == 41


def test_broken_sql_and_senseless_suppressions_are_findings(read_sql: Read) -> None:
    reading = read_sql("CREATE TABEL x ();\n-- pgcharter: allow KEY01\nCREATE TABLE t (x int);\n")
    assert [(f.code, f.place.line) for f in reading.findings if f.place] == [("SRC02", 1), ("SRC04", 2)]
    assert tables(reading) == ["public.t"]


def test_places_of_columns_and_constraints(read_sql: Read) -> None:
    reading = read_sql(
        'CREATE TABLE t (\n  id int PRIMARY KEY,\n  "Größe" text UNIQUE CHECK ("Größe" <> \'\'),\n  p int REFERENCES t,\n'
        "  CONSTRAINT ordered CHECK (id <> p)\n);\n"
    )
    assert place(reading, "table", "t") == "1:1"
    assert place(reading, "column", "t", "Größe") == "3:3"
    assert place(reading, "constraint", "t", "t_pkey") == "2:10"
    assert place(reading, "constraint", "t", "t_Größe_key") == "3:16"
    assert place(reading, "constraint", "t", "t_Größe_check") == "3:23"
    assert place(reading, "constraint", "t", "t_p_fkey") == "4:9"
    assert place(reading, "constraint", "t", "ordered") == "5:3"
    assert place(reading, "index", "t_pkey") == "2:10"


def test_places_follow_alter_chains_and_renames(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE TABLE old (a int);\nALTER TABLE old ADD COLUMN b int,\n  ADD COLUMN c int;\nALTER TABLE old RENAME TO new;\n"
        "ALTER TABLE new RENAME COLUMN b TO bb;\nALTER TABLE new ALTER COLUMN a SET NOT NULL;\n"
        "ALTER TABLE new ADD CONSTRAINT k UNIQUE (a),\n  ADD CONSTRAINT pos CHECK (bb > 0);\n"
        "ALTER TABLE new DROP COLUMN c;\nALTER TABLE new ADD COLUMN c text;\n"
    )
    assert place(reading, "table", "new") == "1:1"
    assert place(reading, "column", "new", "a") == "1:19"
    assert place(reading, "column", "new", "bb") == "2:28"
    assert place(reading, "column", "new", "c") == "10:28"
    assert place(reading, "constraint", "new", "k") == "7:21"
    assert place(reading, "constraint", "new", "pos") == "8:7"
    assert place(reading, "index", "k") == "7:21"


def test_places_of_what_do_blocks_and_functions_make(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n"
        "  EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY)', name);\nEND $$;\n"
        "DO $$ BEGIN EXECUTE 'CREATE TABLE ' || 'dyn (x int)'; CREATE INDEX dyn_x ON dyn (x); END $$;\n"
        "SELECT make('made');\nDO $$ BEGIN ALTER TABLE dyn ADD COLUMN y int; END $$;\n"
    )
    assert place(reading, "table", "dyn") == "5:1"
    assert place(reading, "index", "dyn_x") == "5:1"
    assert place(reading, "column", "dyn", "y") == "7:1"
    assert place(reading, "table", "made") == "6:1"
    assert place(reading, "function", "make(text)") == "1:1"


def test_places_of_everything_else(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE SCHEMA app;\nCREATE TYPE app.mood AS ENUM ('a');\nCREATE DOMAIN app.pos AS int CONSTRAINT p CHECK (value > 0);\n"
        "CREATE SEQUENCE app.s;\nCREATE TABLE app.t (id int PRIMARY KEY) PARTITION BY RANGE (id);\n"
        "CREATE TABLE app.t1 PARTITION OF app.t FOR VALUES FROM (0) TO (9);\n"
        "CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n"
        "CREATE TRIGGER trg BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.f();\n"
        "CREATE POLICY pol ON app.t USING (true);\nCREATE MATERIALIZED VIEW app.m AS SELECT id FROM app.t;\n"
        "CREATE STATISTICS app.st ON (id % 2), (id % 3) FROM app.t1;\nCREATE PUBLICATION pub FOR TABLE app.t1;\n"
        "CREATE RULE r AS ON DELETE TO app.t1 DO INSTEAD NOTHING;\n"
    )
    assert reading.findings == ()
    assert place(reading, "schema", "app", schema="") == "1:1"
    assert place(reading, "type", "mood", schema="app") == "2:1"
    assert place(reading, "domain", "pos", schema="app") == "3:1"
    assert place(reading, "sequence", "s", schema="app") == "4:1"
    assert place(reading, "table", "t1", schema="app") == "6:1"
    assert place(reading, "constraint", "t1", "t1_pkey", schema="app") == "6:1"
    assert place(reading, "trigger", "t", "trg", schema="app") == "8:1"
    assert place(reading, "policy", "t", "pol", schema="app") == "9:1"
    assert place(reading, "materialized view", "m", schema="app") == "10:1"
    assert place(reading, "statistics", "st", schema="app") == "11:1"
    assert place(reading, "publication", "pub", schema="") == "12:1"
    assert place(reading, "rule", "t1", "r", schema="app") == "13:1"


def test_names_of_every_sort_are_placed(read_sql: Read) -> None:
    long = "n" * 70
    reading = read_sql(
        f'CREATE TABLE {long} (x int);\nCREATE TABLE "MiXed ""q"" é😀" (y int);\nCREATE SCHEMA "Sch é";\nCREATE TABLE "Sch é".t (z int);\n'
    )
    assert place(reading, "table", "n" * 63) == "1:1"
    assert place(reading, "table", 'MiXed "q" é😀') == "2:1"
    assert place(reading, "column", "t", "z", schema="Sch é") == "4:25"


def test_roles_are_stood_in_for(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE ROLE src_app LOGIN PASSWORD 'x';\nCREATE TABLE t (x int);\nGRANT SELECT ON t TO src_app, src_reader;\n"
        "ALTER TABLE t OWNER TO src_owner;\nCREATE POLICY p ON t TO src_app USING (true);\n"
    )
    assert reading.findings == ()
    assert reading.catalog is not None
    table = reading.catalog.tables[0]
    assert table.owner == "src_owner"
    assert {g.grantee for g in table.acl or ()} >= {"src_app", "src_reader"}
    (gap,) = [g for g in reading.gaps if g.what.startswith("roles")]
    assert gap.what == "roles src_owner, src_reader"


def test_what_is_not_run_is_said(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE DATABASE x;\n\\c x\nCREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\nBEGIN;\nCOMMIT;\n"
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();\nALTER SYSTEM SET work_mem = '1GB';\nVACUUM t;\n"
        "GRANT CONNECT ON DATABASE x TO y;\nCREATE EXTENSION nosuchextension;\n"
    )
    assert reading.findings == ()
    assert tables(reading) == ["public.t"]
    assert {g.place.line for g in reading.gaps if g.place} == {1, 2, 7, 8, 10, 11}


def test_what_only_superusers_make_is_neither_changed_nor_dropped(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();\nALTER EVENT TRIGGER e OWNER TO postgres;\n"
        "ALTER EVENT TRIGGER e RENAME TO g;\nDROP EVENT TRIGGER g;\nDROP SUBSCRIPTION s;\n"
        "DROP FOREIGN DATA WRAPPER w;\nCREATE TABLE t (x int);\n"
    )
    assert reading.findings == ()
    assert tables(reading) == ["public.t"]
    assert {g.place.line for g in reading.gaps if g.place} == {1, 2, 3, 4, 5, 6}


def test_session_settings_last_to_the_end_of_the_file_and_set_local_to_the_commit(read: Read, tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text(
        "CREATE SCHEMA app;\nBEGIN;\nSET LOCAL search_path = app;\nCREATE TABLE inside (x int);\nCOMMIT;\nCREATE TABLE outside (x int);\n"
        "SET search_path = app;\n"
    )
    (tmp_path / "2.sql").write_text("CREATE TABLE next_file (x int);\n")
    assert sorted(tables(read(tmp_path))) == ["app.inside", "public.next_file", "public.outside"]


def test_text_only_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE t (x int);\nnonsense;\n")
    reading = sources.read(str(tmp_path / "a.sql"), server=False)
    assert reading.catalog is None
    assert [s.kind for s in reading.statements] == ["create_stmt"]
    assert [f.code for f in reading.findings] == ["SRC02"]
    assert reading.texts == {str(tmp_path / "a.sql"): "CREATE TABLE t (x int);\nnonsense;\n"}


@pytest.mark.parametrize(
    "hostile",
    [
        "DROP EVENT TRIGGER pgcharter_recorder",
        "ALTER EVENT TRIGGER pgcharter_recorder DISABLE",
        "DROP SCHEMA pgcharter_recorder CASCADE",
        "DELETE FROM pgcharter_recorder.made",
        "SELECT pgcharter_recorder.record()",
        "DO $$ BEGIN EXECUTE 'TRUNCATE pgcharter_recorder.made'; END $$",
        "SET session_replication_role = replica",
        "SET event_triggers = off",
        "CREATE SCHEMA pgcharter_recorder",
        "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$",
        "DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$",
    ],
)
def test_the_record_of_who_made_what_cannot_be_tampered_with(hostile: str, read_sql: Read) -> None:
    reading = read_sql(f"CREATE TABLE before (x int);\n{hostile};\nCREATE TABLE after (x int);\n")
    assert place(reading, "table", "before") == "1:1"
    assert place(reading, "table", "after") == "3:1"


def test_psql_variables_are_filled_in_or_told(read_sql: Read) -> None:
    reading = read_sql("\\set name shop\nCREATE SCHEMA :name;\nCREATE TABLE :name.t (x text DEFAULT :'name');\nCREATE SCHEMA :unknown;\n")
    assert tables(reading) == ["shop.t"]
    assert reading.findings == ()
    assert [(g.what, g.why) for g in reading.gaps] == [
        ("CREATE SCHEMA :unknown", "not built: psql would put a value for :unknown, which no \\set gives")
    ]


def test_what_the_scratch_server_lacks_is_a_gap_and_so_is_what_follows(read_sql: Read) -> None:
    reading = read_sql(
        "CREATE EXTENSION postgis;\nCREATE TABLE places (g geometry);\nCREATE INDEX ON places USING gist (g);\n"
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'return 1';\nCREATE TABLE t (x int) TABLESPACE fast;\n"
        "CREATE INDEX t_x ON t (x) TABLESPACE \"fa st\";\nDO $$ BEGIN RAISE EXCEPTION 'no rows'; END $$;\nALTER EXTENSION postgis UPDATE;\n"
        "DROP OWNED BY nobody_known;\n"
    )
    assert [f.message for f in reading.findings] == []
    assert tables(reading) == ["public.t"]
    assert [g.place.line for g in reading.gaps if g.place] == [1, 2, 3, 4, 7, 8, 9]
    assert "extension postgis" in reading.gaps[1].why


def test_a_scratch_server_of_ones_own_needs_no_superuser(major_server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "CREATE TABLE t (\n  id int PRIMARY KEY\n);\nALTER TABLE t ADD COLUMN x int;\n"
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'select 1';\n"
    )
    with psycopg.connect(major_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE src_plain LOGIN CREATEDB PASSWORD 'src_plain'")
        try:
            url = make_conninfo(major_server.dsn(), user="src_plain", password="src_plain")
            reading = sources.read(str(tmp_path / "a.sql"), scratch_url=url)
        finally:
            admin.execute("DROP ROLE src_plain")
    assert reading.findings == ()
    assert place(reading, "table", "t") == "1:1"
    assert place(reading, "column", "t", "id") == "2:3"
    assert place(reading, "column", "t", "x") == "4:26"
    assert place(reading, "function", "f(integer)") == "5:1"
    assert [g.what for g in reading.gaps] == ["where DO blocks and renames made things"]


def test_roles_made_in_do_blocks_are_stood_in_for(read_sql: Read) -> None:
    reading = read_sql(
        "DO $$ BEGIN\n  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'src_one') THEN CREATE ROLE src_one; END IF;\n"
        '  CREATE TABLE made (x int);\nEND $$;\nDO $$ BEGIN CREATE USER "src_Two" LOGIN; END $$;\n'
        'GRANT SELECT ON made TO src_one, "src_Two";\n'
    )
    assert (reading.findings, reading.gaps) == ((), ())
    assert place(reading, "table", "made") == "1:1"


def test_schema_public_is_there_already_as_in_every_database(read_sql: Read) -> None:
    reading = read_sql("CREATE SCHEMA public;\nCREATE TABLE public.t (x int);\n")
    assert (reading.findings, tables(reading)) == ((), ["public.t"])


def test_long_concatenations_are_built_and_judged(tmp_path: Path, read: Read) -> None:
    text = "CREATE TABLE a (id int PRIMARY KEY, t text);\nCREATE VIEW v AS SELECT " + " || ".join(["t"] * 300) + " AS x FROM a;\n"
    (tmp_path / "a.sql").write_text(text)
    reading = read(tmp_path / "a.sql")
    assert reading.findings == ()
    assert reading.catalog
    assert [v.name for v in reading.catalog.views] == ["v"]


def test_a_session_ended_between_statements_costs_none(major_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_alive", lambda conn: not conn.closed)  # as if it ended after the look and before the statement
    first, second = parse("CREATE TABLE a (x int);\nCREATE TABLE b (x int);", "a.sql").statements
    with scratch.open_scratch(url=major_server.dsn()) as server, server.database() as database:
        builder = Builder(database)
        assert builder.run(first) is None
        database.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [database.conn.info.backend_pid])
        assert builder.run(second) is None
        assert builder.built == [first, second]
