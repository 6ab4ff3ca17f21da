"""History read back on real servers: a table as it was equals the snapshot taken then, whatever happened since."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgcharter.errors import UsageError
from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit as policy
from pgcharter.policy.audit_settings import AuditSection
from pgcharter.runtime import audit

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app."Keyed" (id int, "at %" timestamptz, v text, n numeric, j json, s int, PRIMARY KEY (id, "at %"));
CREATE TABLE app.differing (id int PRIMARY KEY, v text, n numeric, s text);
CREATE TABLE app.bare (id int, v text, s int);
CREATE TABLE app.parted (id int, p int, v text, PRIMARY KEY (id, p)) PARTITION BY LIST (p);
CREATE TABLE app.parted_0 PARTITION OF app.parted FOR VALUES IN (0, 1);
CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES IN (2, 3);
INSERT INTO app."Keyed" VALUES (100, '2020-01-01 00:00+02', 'before audit', 1.50, '{"a":  1}', 7);
INSERT INTO app.differing VALUES (100, 'before audit', 1.50, 'secret');
INSERT INTO app.bare VALUES (100, 'before audit', 7), (100, 'before audit', 7);
INSERT INTO app.parted VALUES (100, 0, 'before audit');
"""


def install(dsn: str, *sections: AuditSection) -> None:
    """The policy; a second section adds its tables to what the first has made."""
    for section in sections:
        made = planning.make(Wish("", dsn, chosen=Chosen((policy.policy(section),)), prove=False))
        assert made.plan.questions == ()
        with psycopg.connect(dsn, autocommit=True) as conn:
            for step in made.plan.steps:
                if not step.sql.startswith(("DROP", "REVOKE")):
                    conn.execute(step.sql.encode())


@pytest.fixture
def app(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        install(
            database,
            AuditSection(tables=('app.Keyed', "app.bare", "app.parted"), left_out=("app.Keyed.s", "app.bare.s")),
            AuditSection(tables=("app.differing",), content="difference", masked=("app.differing.s",)),
        )  # fmt: skip
        conn.execute("SET TimeZone = 'Asia/Kathmandu'")
        yield conn


KEYED, VALUES = st.integers(1, 4), st.sampled_from(["NULL", "'x'", "'y'", "''"])
MOMENT = st.sampled_from(["timestamptz '2020-01-01 00:00+00'", "timestamptz '2021-07-01 12:00+02'"])
ANY = st.sampled_from(['"Keyed"', "differing", "bare", "parted"])
STATEMENTS = st.one_of(
    st.builds("""INSERT INTO app."Keyed" VALUES ({}, {}, {}, 1.10, '[1]', 1) ON CONFLICT DO NOTHING""".format, KEYED, MOMENT, VALUES),
    st.builds('UPDATE app."Keyed" SET v = {}, s = s + 1 WHERE id = {}'.format, VALUES, KEYED),
    st.builds('UPDATE app."Keyed" SET id = id + {} WHERE id % 100 < 3'.format, st.sampled_from([5, 10])),
    st.builds("DELETE FROM app.{} WHERE id = {}".format, ANY, KEYED),
    st.builds("INSERT INTO app.differing VALUES ({}, {}, 2.0, {}) ON CONFLICT (id) DO UPDATE SET n = 3".format, KEYED, VALUES, VALUES),
    st.builds("UPDATE app.differing SET v = {}, s = {} WHERE id <= {}".format, VALUES, VALUES, KEYED),
    st.builds("UPDATE app.differing SET id = {} WHERE id = {}".format, KEYED, KEYED),
    st.builds("INSERT INTO app.bare VALUES ({}, {}, 0)".format, KEYED, VALUES),
    st.builds("UPDATE app.bare SET v = {}, s = s + 1 WHERE id >= {}".format, VALUES, KEYED),
    st.builds("INSERT INTO app.parted VALUES ({}, {}, {}) ON CONFLICT DO NOTHING".format, KEYED, st.integers(0, 3), VALUES),
    st.builds("UPDATE app.parted SET p = {} WHERE id = {}".format, st.integers(0, 3), KEYED),
    st.builds("TRUNCATE app.{}".format, st.one_of(ANY, st.just("parted_0"))),
)
TABLES = {'app."Keyed"': "- 's'", "app.differing": "", "app.bare": "- 's'", "app.parted": ""}


def snapshot(conn: psycopg.Connection[Any], table: str) -> list[str]:
    """The rows of now as `as_of` writes them."""
    masked = "|| CASE WHEN s IS NULL THEN '{}' ELSE '{\"s\": \"***\"}'::jsonb END" if table == "app.differing" else ""
    with conn.transaction():
        conn.execute("SET LOCAL TimeZone = 'UTC'")
        rows = conn.execute(f"SELECT (to_jsonb(t) {TABLES[table]} {masked})::text FROM {table} t".encode()).fetchall()
    return sorted(row for (row,) in rows)


def then(conn: psycopg.Connection[Any], table: str, at: datetime) -> list[str]:
    with conn.transaction():
        rows = audit.as_of(conn, table, at)
    with conn.cursor() as cursor:
        return sorted(cursor.execute("SELECT %s::jsonb::text", (json.dumps(row),)).fetchone()[0] for row in rows)  # type: ignore[index]


@pytest.mark.parametrize("major", [15, 18])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.lists(STATEMENTS, min_size=1, max_size=4), min_size=1, max_size=5))
def test_as_of_equals_the_snapshot_taken_then(app: psycopg.Connection[Any], major: int, rounds: list[list[str]]) -> None:
    taken = []
    for statements in rounds:
        row = app.execute("SELECT clock_timestamp()").fetchone()
        assert row
        taken.append((row[0], {table: snapshot(app, table) for table in TABLES}))
        for statement in statements:
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                app.execute(statement.encode())
    for at, tables in taken:
        for table, rows in tables.items():
            assert [json.loads(r) for r in then(app, table, at)] == [json.loads(r) for r in rows], (table, at)


def test_the_history_of_a_row_is_found_by_old_and_new_key(app: psycopg.Connection[Any]) -> None:
    with app.transaction():
        app.execute("SELECT set_config('pgcharter.actor', 'ann', true)")
        app.execute("INSERT INTO app.differing VALUES (1, 'a', 1.10, NULL); UPDATE app.differing SET v = 'b' WHERE id = 1")
        app.execute("UPDATE app.differing SET id = 2 WHERE id = 1; DELETE FROM app.differing WHERE id = 2")
    with app.transaction():
        found = audit.history(app, "app.differing", {"id": 1})
        assert [e.operation for e in found] == ["INSERT", "UPDATE", "UPDATE"]
        assert found[1].changes == {"v": ("a", "b")}
        assert {e.actor for e in found} == {"ann"}
        assert [e.operation for e in audit.history(app, "app.differing", {"id": 2})] == ["UPDATE", "DELETE"]
        assert [e.operation for e in audit.history(app, "app.differing", {"id": 1}, limit=1)] == ["UPDATE"]
        assert app.execute("SHOW TimeZone").fetchone() == ("Asia/Kathmandu",)


def test_async_and_a_row_without_audit(app: psycopg.Connection[Any], database: str) -> None:
    async def ask() -> Any:
        async with await psycopg.AsyncConnection.connect(database) as conn:
            return await audit.as_of.aio(conn, "app.bare", datetime.now(UTC) + timedelta(hours=1))

    row = {"id": 100, "v": "before audit"}
    assert asyncio.run(ask()) == [row, row]


@pytest.mark.parametrize(
    ("table", "at", "said"),
    [
        ("app.nowhere", datetime.now(UTC), "there is no such table"),
        ("app.parted_2", datetime.now(UTC), "is a partition, whose rows are recorded as those of app.parted"),
        ("pgcharter.audit_log", datetime.now(UTC), "its rows are not recorded"),
        ("nonsense", datetime.now(UTC), "is no table's address"),
        ("app.bare", datetime(2026, 1, 1), "has no time zone"),
    ],
)
def test_what_cannot_be_asked(app: psycopg.Connection[Any], table: str, at: datetime, said: str) -> None:
    with pytest.raises(UsageError, match=said), app.transaction():
        audit.as_of(app, table, at)
    if table == "app.bare":
        with pytest.raises(UsageError, match="is id, not x"), app.transaction():
            audit.history(app, "app.differing", {"x": 1})
