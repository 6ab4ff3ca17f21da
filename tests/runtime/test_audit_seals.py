"""The chain over the trail on real servers: nothing slips in behind it, and whoever tampers is found."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from pgcharter.errors import PgcharterError, RefusedError, UnavailableError
from pgcharter.migrate import audit_seals, audit_verify, planning
from pgcharter.migrate.audit_seals import Head
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import audit as policy
from pgcharter.policy.audit_settings import AuditSection

MONTH = f"pgcharter.audit_log_{datetime.now(UTC):%Y_%m}"
SCHEMA = "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, v text, at timestamptz DEFAULT now())"


@pytest.fixture
def app(database: str) -> Any:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(SCHEMA)
        made = planning.make(Wish("", database, chosen=Chosen((policy.policy(AuditSection(tables=("app.t",))),)), prove=False))
        for step in made.plan.steps:
            conn.execute(step.sql.encode())
        yield conn


def fill(conn: Any, rows: int = 10, start: int = 1) -> None:
    conn.execute("INSERT INTO app.t SELECT i, 'v' || i FROM generate_series(%s::int, %s::int) i", (start, start + rows - 1))


def tamper(conn: Any, statement: str) -> None:
    """What a superuser can do who takes the guards away first."""
    conn.execute(f"ALTER TABLE {MONTH} DISABLE TRIGGER ALL; ALTER TABLE pgcharter.audit_seals DISABLE TRIGGER ALL".encode())
    conn.execute(statement.encode())


def afresh(conn: Any) -> None:
    tamper(
        conn,
        f"TRUNCATE {MONTH}, pgcharter.audit_seals; TRUNCATE app.t; TRUNCATE {MONTH}; ALTER SEQUENCE pgcharter.audit_log_number RESTART",
    )
    fill(conn)
    audit_seals.seal(conn)


def flaws(conn: Any, head: Head | None = None) -> list[tuple[str, int]]:
    return [(f.kind, f.number) for f in audit_verify.verify(conn, head).flaws]


def test_what_is_sealed_holds_whoever_asks(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(app, 2500)
    done = audit_seals.seal(app)
    assert (done.rows, done.seals, done.upto) == (2500, 3, 2500)
    fill(app, 10, 5000)
    app.execute("SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German, DMY'; SET extra_float_digits = 0; SET bytea_output = 'escape'")
    found = audit_verify.verify(app)
    assert (found.seals, found.rows, found.upto, found.unsealed, found.flaws) == (3, 2500, 2500, 10, ())
    monkeypatch.setattr(audit_seals, "_AT_ONCE", 3)
    with app.transaction():
        fill(app, 7, 7000)
        raise psycopg.Rollback
    assert audit_seals.seal(app).rows == 10
    assert audit_seals.seal(app).rows == 0
    assert flaws(app, audit_seals.head(app)) == []


CASES = {
    "changed": (f"UPDATE {MONTH} SET new = new || '{{\"v\": \"forged\"}}' WHERE number = 3", [("changed", 3)]),
    "actor changed": (f"UPDATE {MONTH} SET actor = 'somebody else' WHERE number = 3", [("changed", 3)]),
    "removed": (f"DELETE FROM {MONTH} WHERE number IN (1, 10)", [("removed", 1), ("removed", 10)]),
    "put in": (
        f"INSERT INTO {MONTH} SELECT (jsonb_populate_record(l, '{{\"number\": 0}}')).* FROM {MONTH} l WHERE number = 3",
        [("put in", 0)],
    ),
    "reordered": (
        f"UPDATE {MONTH} SET number = -number WHERE number IN (3, 4); UPDATE {MONTH} SET number = 7 + number WHERE number < 0",
        [("reordered", 3), ("reordered", 4)],
    ),
    "all removed": (f"DELETE FROM {MONTH}", [("removed", n) for n in range(1, 11)]),
    "seal changed": ("UPDATE pgcharter.audit_seals SET upto = 9", [("broken", 0)]),
    "month dropped": (f"DROP TABLE {MONTH}", [("dropped", 0)]),
}  # fmt: skip


def test_tampering_is_found(app: Any) -> None:
    for statement, found in CASES.values():
        afresh(app)
        assert flaws(app) == []
        tamper(app, statement)
        assert flaws(app) == found, statement


def test_a_chain_made_anew_is_found_by_the_exported_head(app: Any) -> None:
    fill(app)
    audit_seals.seal(app)
    head = Head.loads(audit_seals.head(app).dumps("shop"))
    tamper(app, f"UPDATE {MONTH} SET actor = 'me' WHERE number = 3; DELETE FROM pgcharter.audit_seals")
    audit_seals.seal(app)
    assert flaws(app) == []
    assert flaws(app, head) == [("broken", 0)]
    tamper(app, "DELETE FROM pgcharter.audit_seals")
    assert flaws(app, head) == [("cut", 0)]
    with pytest.raises(PgcharterError, match="no head of a chain"):
        Head.loads("{}")


def test_nothing_slips_in_behind_a_seal(app: Any, database: str) -> None:
    """A transaction that has drawn a number and is open holds the sealer up; then both are sealed."""
    with psycopg.connect(database) as slow:
        slow.execute("INSERT INTO app.t VALUES (1, 'drawn first')")
        fill(app, 3, 100)
        done = audit_seals.seal(app, wait=0.1)
        assert done.rows == 0
        assert len(done.waiting) == 1
        assert str(slow.info.backend_pid) in done.waiting[0]
        slow.commit()
    assert audit_seals.seal(app).rows == 4
    assert flaws(app) == []


def test_sealing_under_load_loses_nothing(app: Any, database: str) -> None:
    def write(worker: int) -> None:
        with psycopg.connect(database) as conn:
            for i in range(60):
                conn.execute("INSERT INTO app.t VALUES (%s, 'x')", (worker * 1000 + i,))
                if i % 3 == 0:
                    conn.rollback()
                elif i % 3 == 1:
                    conn.commit()

    workers = [threading.Thread(target=write, args=(n,)) for n in range(1, 5)]
    for worker in workers:
        worker.start()
    sealed = 0
    while any(worker.is_alive() for worker in workers):
        sealed += audit_seals.seal(app).rows
    sealed += audit_seals.seal(app).rows
    assert app.execute("SELECT count(*) FROM pgcharter.audit_log").fetchone() == (sealed,)
    assert flaws(app) == []


def test_one_sealer_at_a_time(app: Any, database: str) -> None:
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(1885827940, 2)")
        with pytest.raises(RefusedError, match="another sealer is at work"):
            audit_seals.seal(app)


def test_retired_months_leave_their_seals(app: Any) -> None:
    fill(app, 5)
    told: list[str] = []
    later = datetime(datetime.now(UTC).year + 1, 12, 1, tzinfo=UTC)
    with pytest.raises(RefusedError, match="has rows that are not sealed"):
        audit_seals.retire(app, 3, now=later, told=told.append)
    audit_seals.seal(app)
    gone = audit_seals.retire(app, 3, now=later, reason="tests", told=told.append)
    assert date(datetime.now(UTC).year, datetime.now(UTC).month, 1) in gone
    assert app.execute("SELECT count(*) FROM pgcharter.audit_log").fetchone() == (0,)
    found = audit_verify.verify(app)
    assert (found.rows, found.flaws) == (5, ())
    assert audit_seals.retire(app, 3, now=later, told=told.append) == []
    notes = app.execute("SELECT note FROM pgcharter.audit_seals WHERE kind = 'retired'").fetchall()
    assert all(note.endswith(": tests") for (note,) in notes)


def test_a_database_without_a_trail(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn, pytest.raises(UnavailableError, match=r"there is no pgcharter\.audit_log"):
        audit_seals.seal(conn)
