"""The chain over the trail on real servers: nothing slips in behind it, and whoever tampers is found."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
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
from pgcharter.policy.audit_tables import first

TODAY = datetime.now(UTC).date()
MONTH = f"pgcharter.audit_log_{TODAY:%Y_%m}"
BOUNDS = f"('{first(TODAY)}') TO ('{first(TODAY, 1)}')"
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
    for table in (MONTH, "pgcharter.audit_log_unplaced", "pgcharter.audit_seals"):
        conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
    conn.execute(statement.encode())


def afresh(conn: Any) -> None:
    tamper(
        conn,
        f"TRUNCATE {MONTH}, pgcharter.audit_log_unplaced, pgcharter.audit_seals; TRUNCATE app.t; TRUNCATE {MONTH};"
        " ALTER SEQUENCE pgcharter.audit_log_number RESTART",
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
    "key to look it up by changed": (f"UPDATE {MONTH} SET key_hash = 0 WHERE number = 3", [("changed", 3)]),
    "moved to another month": (
        "UPDATE pgcharter.audit_log SET month = '1000-01-01' WHERE number = 3",
        [("removed", 3), ("put in", 3)],
    ),
    "digest changed": ("UPDATE pgcharter.audit_seals SET digest = prints", [("broken", 0), ("changed", 0)]),
    "prints changed": ("UPDATE pgcharter.audit_seals SET prints = digest || digest || digest", []),
    "month replaced": (f"""
        ALTER TABLE pgcharter.audit_log DETACH PARTITION {MONTH}; ALTER TABLE {MONTH} RENAME TO forged;
        CREATE TABLE {MONTH} (LIKE pgcharter.forged INCLUDING ALL);
        INSERT INTO {MONTH} SELECT * FROM pgcharter.forged; UPDATE {MONTH} SET actor = 'bob' WHERE number = 3; DROP TABLE pgcharter.forged;
        ALTER TABLE pgcharter.audit_log ATTACH PARTITION {MONTH} FOR VALUES FROM {BOUNDS}""", [("changed", 3)]),
    "month dropped": (f"DROP TABLE {MONTH}", [("dropped", 0)]),
}  # fmt: skip


@pytest.mark.parametrize("major", [15, 18])
def test_tampering_is_found(app: Any, major: int) -> None:
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


def test_the_end_of_the_chain_cut_off_is_found_by_the_exported_head(app: Any) -> None:
    for start in (1, 100):
        fill(app, 5, start)
        audit_seals.seal(app)
    head = audit_seals.head(app)
    tamper(app, f"DELETE FROM pgcharter.audit_seals WHERE seal = 2; DELETE FROM {MONTH} WHERE number > 5")
    assert flaws(app, head) == [("cut", 0)]
    assert flaws(app) == [], "what only a kept head shows"


def test_a_clock_turned_back_is_found(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for start, back in ((1, 0), (100, 3600), (200, 3602), (300, 0)):
        monkeypatch.setattr(audit_seals, "_now", lambda _, back=back: datetime.now(UTC) - timedelta(seconds=back))
        fill(app, 5, start)
        audit_seals.seal(app)
    assert flaws(app) == [("clock", 0)]


def test_a_month_detached_or_dropped_without_a_word_is_found(app: Any) -> None:
    fill(app)
    audit_seals.seal(app)
    app.execute(f"ALTER TABLE pgcharter.audit_log DETACH PARTITION {MONTH}".encode())
    assert flaws(app) == [("dropped", 0)]
    app.execute(f"DROP TABLE {MONTH}".encode())
    assert flaws(app) == [("dropped", 0)]


@pytest.mark.direct("DETACH … CONCURRENTLY by an administrator, with a timeout of the session")
def test_retiring_goes_on_where_it_was_cut_off(app: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month that somebody reads stays pending; one that was detached and not dropped goes next time."""
    monkeypatch.setattr(audit_seals, "_PATIENCE", 50)
    fill(app, 5)
    audit_seals.seal(app)
    later = datetime(TODAY.year + 1, 12, 1, tzinfo=UTC)
    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM pgcharter.audit_log")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            audit_seals.retire(app, 3, now=later, told=lambda _: None)
    second = f"pgcharter.audit_log_{first(TODAY, 1):%Y_%m}"
    third = f"pgcharter.audit_log_{first(TODAY, 2):%Y_%m}"
    app.execute(f"ALTER TABLE pgcharter.audit_log DETACH PARTITION {MONTH} FINALIZE".encode())
    with app.transaction():
        number, upto, previous = audit_seals._last(app)
        audit_seals._add(app, number + 1, "retired", first(TODAY, 1), upto, [], b"", bytes(32), previous, "cut off")
    app.execute(f"ALTER TABLE pgcharter.audit_log DETACH PARTITION {second}".encode())
    app.execute(f"ALTER TABLE pgcharter.audit_log DETACH PARTITION {third}".encode())
    told: list[str] = []
    audit_seals.retire(app, 3, now=later, told=told.append)
    left = [name for (name,) in app.execute("SELECT relname FROM pg_class WHERE relname ~ '^audit_log_[0-9_]*$'")]
    assert third.partition(".")[2] in left, "nobody retired it: somebody detached it by hand"
    assert MONTH.partition(".")[2] not in left
    assert second.partition(".")[2] not in left
    assert flaws(app) == []


def test_nothing_slips_in_behind_a_seal(app: Any, database: str) -> None:
    """A transaction that has drawn a number and is open holds the sealer up; then both are sealed."""
    with psycopg.connect(database) as slow:
        slow.execute("INSERT INTO app.t VALUES (1, 'drawn first')")
        pid = slow.execute("SELECT pg_backend_pid()").fetchone()
        assert pid
        fill(app, 3, 100)
        done = audit_seals.seal(app, wait=0.1)
        assert done.rows == 0
        assert len(done.waiting) == 1
        assert str(pid[0]) in done.waiting[0]
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


class Dying(psycopg.Connection[Any]):
    """A connection whose server process is ended before its statement number `last`."""

    last = 0

    def execute(self, query: Any, *args: Any, **options: Any) -> Any:
        self.last -= 1
        if self.last == 0:
            with psycopg.connect(self.info.dsn, password=self.info.password, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (self.info.backend_pid,))
        return super().execute(query, *args, **options)


@pytest.mark.direct("it ends the session of its connection between transactions, and PgBouncer hands out its own")
def test_a_sealer_that_dies_anywhere_leaves_all_or_nothing(app: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_seals, "_AT_ONCE", 4)
    fill(app, 10)
    died = 0
    for last in range(1, 100):
        with Dying.connect(database, autocommit=True) as conn:
            conn.last = last
            try:
                sealed = audit_seals.seal(conn).rows
                break
            except psycopg.OperationalError:
                died += 1
        found = audit_verify.verify(app)
        assert (found.rows, found.unsealed, found.flaws) == (0, 10, ())
    assert sealed == 10
    assert died > 8
    found = audit_verify.verify(app)
    assert (found.rows, found.unsealed, found.flaws) == (10, 0, ())


def test_one_sealer_at_a_time(app: Any, database: str) -> None:
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(1885827940, 2)")
        with pytest.raises(RefusedError, match="another sealer is at work"):
            audit_seals.seal(app)


@pytest.mark.direct("DETACH … CONCURRENTLY by an administrator, with a timeout of the session")
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
