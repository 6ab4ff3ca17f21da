"""`[audit]` on real servers: what is recorded, that nobody changes it, and that it comes and goes without a trace elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from tests.policy.planned import applied, catalog
from tests.policy.schemas import CASES, sql_of

from pgcharter.catalog.compare import compare
from pgcharter.catalog.model import Catalog
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Planned, Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.names import MAX_BYTES, ObjectId
from pgcharter.plan.model import Grade
from pgcharter.policy import audit
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.policy.model import State

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app."Näme" (id int PRIMARY KEY, v text, "g G" int GENERATED ALWAYS AS (id * 2) STORED, secret text);
CREATE TABLE app.pair (a uuid, "b""\\ B" text, v json, PRIMARY KEY (a, "b""\\ B"));
CREATE TABLE app.nokey (a int, b text);
CREATE TABLE app.parted (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE app.heir (more int) INHERITS (app.nokey);
CREATE TABLE app.unmentioned (id int);
"""
WISH = AuditSection(tables=("app.*",), except_tables=("app.unmentioned",))
OFF = AuditSection(trail="drop")
GONE = "pgcharter"


def planned(dsn: str, section: AuditSection) -> Planned:
    return planning.make(Wish("", dsn, chosen=Chosen((audit.policy(section),))))


def apply(dsn: str, section: AuditSection) -> Planned:
    return applied(dsn, planned(dsn, section))


@pytest.fixture
def app(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
    return database


def entries(conn: psycopg.Connection[Any], what: str, where: str = "true") -> list[Any]:
    return conn.execute(f"SELECT {what} FROM pgcharter.audit_log WHERE {where} ORDER BY number".encode()).fetchall()


@pytest.mark.parametrize("major", [15, 18])
def test_come_and_gone(app: str, major: int) -> None:
    before = catalog(app)
    first = apply(app, WISH)
    assert first.proof
    assert planned(app, WISH).plan.empty
    undeclared = planning.make(Wish("", app, chosen=Chosen()))
    assert undeclared.plan.empty
    assert "what it recorded would be lost" in undeclared.plan.questions[0]
    off = apply(app, OFF)
    assert off.proof
    assert {s.object for s in off.plan.steps if s.grade is Grade.LOSSY} >= {ObjectId("table", GONE, "audit_log")}
    assert [d for d in compare(before, catalog(app)) if GONE not in (d.object.schema, d.object.name)] == []
    assert planned(app, OFF).plan.empty


def test_every_change_is_recorded_with_who_and_why(app: str) -> None:
    apply(app, replace(WISH, content="difference", left_out=("app.Näme.secret",), masked=("app.pair.v",)))
    with psycopg.connect(app) as conn:
        conn.execute("SELECT set_config('pgcharter.actor', 'ann', true), set_config('pgcharter.correlation', 'c-1', true)")
        conn.execute("""INSERT INTO app."Näme" VALUES (1, 'a', DEFAULT, 'hush')""")
        conn.execute("""UPDATE app."Näme" SET v = 'b', secret = 'hush hush'""")
        conn.execute("""UPDATE app."Näme" SET secret = 'nobody hears'""")
        conn.execute("""UPDATE app."Näme" SET v = v""")
        conn.execute("""UPDATE app."Näme" SET id = 2""")
        conn.commit()
        conn.execute("""INSERT INTO app.pair VALUES ('00000000-0000-0000-0000-000000000001', 'x', '{"card": 1}')""")
        conn.execute("""UPDATE app.pair SET v = '{"card": 2}'""")
        conn.execute("""WITH gone AS (DELETE FROM app.pair RETURNING 1) SELECT count(*) FROM gone""")
        found = entries(conn, "operation, statement, key, new_key, old, new, actor, reason, correlation", "table_name = 'Näme'")
        assert [row[:6] for row in found] == [
            ("INSERT", "INSERT", {"id": 1}, None, None, {"id": 1, "v": "a", "g G": 2}),
            ("UPDATE", "UPDATE", {"id": 1}, None, {"v": "a"}, {"v": "b"}),
            ("UPDATE", "UPDATE", {"id": 1}, {"id": 2}, {"id": 1, "v": "b", "g G": 2}, {"id": 2, "v": "b", "g G": 4}),
        ]
        assert {row[6:] for row in found} == {("ann", None, "c-1")}
        key = {"a": "00000000-0000-0000-0000-000000000001", 'b"\\ B': "x"}
        assert entries(conn, "operation, statement, key, old->'v', new->'v', actor", "table_name = 'pair'") == [
            ("INSERT", "INSERT", key, None, "***", None),
            ("UPDATE", "UPDATE", key, "***", "*** (changed)", None),
            ("DELETE", "WITH", key, "***", None, None),
        ]
        assert "hush" not in str(entries(conn, "*"))


def test_rows_of_partitions_heirs_and_without_key(app: str) -> None:
    apply(app, WISH)
    with psycopg.connect(app) as conn:
        conn.execute("INSERT INTO app.parted VALUES (1, '2020-05-05', 'x'), (2, '2021-05-05', 'y')")
        conn.execute("UPDATE app.parted SET at = '2021-02-02' WHERE id = 1")
        conn.execute("TRUNCATE app.parted_2")
        conn.execute("INSERT INTO app.nokey VALUES (1, NULL)")
        conn.execute("INSERT INTO app.heir VALUES (2, 'h', 3)")
        conn.execute("UPDATE app.nokey SET b = 'n'")
        conn.execute("TRUNCATE app.parted")
        found = entries(conn, "operation, relation::regclass::text, key->'id', old->>'at'", "table_name = 'parted'")
        assert found == [
            ("INSERT", "app.parted_1", 1, None),
            ("INSERT", "app.parted_2", 2, None),
            ("DELETE", "app.parted_1", 1, "2020-05-05"),
            ("INSERT", "app.parted_2", 1, None),
            *found[4:6],
            ("TRUNCATE", "app.parted_2", None, None),
            ("TRUNCATE", "app.parted", None, None),
            ("TRUNCATE", "app.parted_1", None, None),
            ("TRUNCATE", "app.parted_2", None, None),
        ]  # fmt: skip
        assert sorted(found[4:6]) == [("TRUNCATE", "app.parted_2", 1, "2021-02-02"), ("TRUNCATE", "app.parted_2", 2, "2021-05-05")]
        assert entries(conn, "table_name, operation, key, new_key", "table_name IN ('nokey', 'heir') AND operation = 'UPDATE'") == [
            ("nokey", "UPDATE", {"a": 1, "b": None}, {"a": 1, "b": "n"}),
            ("heir", "UPDATE", {"a": 2, "b": "h", "more": 3}, {"a": 2, "b": "n", "more": 3}),
        ]


def test_what_another_trigger_does_to_the_row_is_recorded_after_what_made_it_do_so(app: str) -> None:
    apply(app, WISH)
    with psycopg.connect(app) as conn:
        conn.execute(
            """CREATE FUNCTION app.again() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN UPDATE app."Näme" SET v = v || '!' WHERE id = NEW.id AND v NOT LIKE '%!'; RETURN NULL; END $$"""
        )
        conn.execute("""CREATE TRIGGER "A first" AFTER UPDATE ON app."Näme" FOR EACH ROW EXECUTE FUNCTION app.again()""")
        conn.execute("""INSERT INTO app."Näme" VALUES (1, 'a')""")
        conn.execute("""UPDATE app."Näme" SET v = 'b'""")
        assert entries(conn, "old->>'v', new->>'v', depth", "operation = 'UPDATE'") == [("a", "b", 1), ("b", "b!", 2)]


def test_nobody_changes_what_is_recorded(app: str) -> None:
    apply(app, WISH)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("""INSERT INTO app."Näme" VALUES (1, 'a')""")
        conn.execute(
            "CREATE ROLE pgct_audited; GRANT ALL ON ALL TABLES IN SCHEMA app TO pgct_audited; GRANT USAGE ON SCHEMA app TO pgct_audited"
        )
        month = f"pgcharter.audit_log_{datetime.now(UTC):%Y_%m}"
        refused = [f"{verb} {at}" for at in ("pgcharter.audit_log", month) for verb in ("DELETE FROM", "TRUNCATE")]
        for statement in (
            *refused,
            f"UPDATE {month} SET actor = 'x'",
            "SET session_replication_role = replica; DELETE FROM pgcharter.audit_log",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="stays as it is"):
                conn.execute(statement.encode())
            conn.execute("RESET session_replication_role")
        try:
            conn.execute("SET ROLE pgct_audited")
            conn.execute("""UPDATE app."Näme" SET v = 'by a role without any right on the trail'; TRUNCATE app."Näme" """)
            for statement in ("SELECT 1 FROM pgcharter.audit_log", "SELECT pgcharter.audit_part('{}', '{}')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(statement.encode())
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY pgct_audited; DROP ROLE pgct_audited")
        assert len(entries(conn, "1")) == 4


def test_an_owner_of_its_own_readers_and_changes_of_the_schema(app: str) -> None:
    section = replace(WISH, owner="pgct_auditor", readers=("pgct_reads",), schema_changes=True)
    with psycopg.connect(app, autocommit=True) as conn:
        before = catalog(app)
        conn.execute("CREATE ROLE pgct_reads")
        try:
            apply(app, section)
            assert planned(app, section).plan.empty
            conn.execute("""INSERT INTO app."Näme" VALUES (1, 'a'); TRUNCATE app."Näme" """)
            conn.execute("CREATE TABLE app.made (password text)")
            conn.execute("COMMENT ON TABLE app.made IS 'password ''hunter2'' and password=tiger'")
            conn.execute("CREATE TEMPORARY TABLE passing (id int)")
            conn.execute("DROP TABLE app.made, passing")
            found = entries(conn, "statement, table_schema, table_name, new->>'sql', session_role = session_user", "operation = 'SCHEMA'")
            assert [row[:3] for row in found] == [
                ("CREATE TABLE", "app", "app.made"), ("COMMENT", "app", "app.made"), ("DROP TABLE", "app", "app.made"),
            ]  # fmt: skip
            assert found[0][3] == "CREATE TABLE app.made (password text)"
            assert "hunter2" not in found[1][3]
            assert "tiger" not in found[1][3]
            assert all(row[4] for row in found)
            conn.execute("SET ROLE pgct_reads")
            assert conn.execute("""SELECT operation FROM pgcharter."audit_of_app_Näme" ORDER BY number""").fetchall() == [
                ("INSERT",), ("TRUNCATE",), ("TRUNCATE",),
            ]  # fmt: skip
            conn.execute("RESET ROLE")
            apply(app, OFF)
            assert conn.execute("SELECT 1 FROM pg_roles WHERE rolname = 'pgct_auditor'").fetchone() is None
            assert [d for d in compare(before, catalog(app)) if GONE not in (d.object.schema, d.object.name)] == []
        finally:
            conn.execute("RESET ROLE; DROP OWNED BY pgct_reads; DROP ROLE pgct_reads")


def test_a_trail_without_tables_is_kept(app: str) -> None:
    apply(app, WISH)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute("""INSERT INTO app."Näme" VALUES (1, 'a')""")
        apply(app, AuditSection())
        conn.execute("""INSERT INTO app."Näme" VALUES (2, 'b')""")
        assert entries(conn, "key->'id'") == [(1,)]


def test_rows_without_a_partition_are_kept_apart(app: str) -> None:
    apply(app, WISH)
    with psycopg.connect(app, autocommit=True) as conn:
        conn.execute(f"DROP TABLE pgcharter.audit_log_{datetime.now(UTC):%Y_%m}".encode())
        conn.execute("""INSERT INTO app."Näme" VALUES (1, 'a'); TRUNCATE app."Näme" """)
        assert entries(conn, "month::text, operation") == [("1000-01-01", "INSERT"), ("1000-01-01", "TRUNCATE"), ("1000-01-01", "TRUNCATE")]


def test_months_come_and_none_goes_by_itself(app: str) -> None:
    apply(app, WISH)
    actual = catalog(app)
    later = State(Catalog(server_version=180000, tables=actual.tables), now=datetime(2031, 12, 31, 23, 59, tzinfo=UTC), present=actual)
    names = {t.name for t in audit.policy(WISH).apply(later).catalog.tables if t.partition_of}
    assert {"audit_log_2031_12", "audit_log_2032_01", "audit_log_2032_03", f"audit_log_{datetime.now(UTC):%Y_%m}"} <= names


def test_a_long_statement_takes_linear_time(app: str) -> None:
    apply(app, WISH)
    with psycopg.connect(app) as conn:
        rows = ", ".join(f"({i}, '{'x' * 400}')" for i in range(4000))
        conn.execute("SET LOCAL statement_timeout = '20s'")
        conn.execute(f"""INSERT INTO app."Näme" (id, v) VALUES {rows}""".encode())
        assert conn.execute("SELECT count(*), min(statement) FROM pgcharter.audit_log").fetchone() == (4000, "INSERT")


def test_what_is_named_and_not_there_is_asked(app: str) -> None:
    section = replace(WISH, tables=("app.Näme", "nowhere.*"), left_out=("app.Näme.id",), masked=("app.Näme.gone", "app.nokey.b"))
    assert [q.partition(":")[0].partition(",")[0] for q in planned(app, section).plan.questions] == [
        '[audit] tables = "nowhere.*" fits no table',
        '[audit] left_out names column id of table app."Näme"',
        '[audit] masked = "app.Näme.gone" fits no column of a recorded table',
        '[audit] masked = "app.nokey.b" fits no column of a recorded table',
    ]
    with pytest.raises(ValueError, match='trail = "drop" gives audit up'):
        AuditSection(tables=("x.y",), trail="drop")


def test_names_of_views_are_short_and_different() -> None:
    ids = [ObjectId("table", s, n) for s, n in (("a", "b_c"), ("a_b", "c"), ("ä" * 31, "ö" * 31), ("ä" * 31, "ö" * 30), ("app", "Näme"))]
    names = [audit.view_name(i) for i in ids]
    assert len(set(names)) == len(names)
    assert all(len(n.encode()) <= MAX_BYTES for n in names)
    assert names[0] == "audit_of_a_b_c"


@pytest.mark.parametrize(("name", "major"), CASES)
def test_on_real_schemas_it_comes_and_goes(name: str, major: int, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(sql_of(name).encode())
    before = catalog(database)
    section = AuditSection(tables=("*",))
    assert apply(database, section).proof
    assert planned(database, section).plan.empty
    assert apply(database, OFF).proof
    assert [d for d in compare(before, catalog(database)) if GONE not in (d.object.schema, d.object.name)] == []
