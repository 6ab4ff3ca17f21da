"""Units of work that lose their server: a few cases of the crash matrix (`python -m tests.runtime.crash` runs it), and others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.runtime import crash, own_tables
from tests.runtime.crash import Bank, Case
from tests.runtime.crash_proxy import POINTS, Proxy
from tests.runtime.standby import PRIMARY, caught_up, kill, promote, standby_of

from pgcharter.runtime.database import Database
from pgcharter.runtime.database_outcome import _told
from pgcharter.runtime.idempotency import Key
from pgcharter.runtime.outcomes import Retry, UnknownOutcomeError
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.work import Work
from pgcharter.servers import lifecycle

CHOSEN = [
    *(Case(point, "reset", "sync", "psycopg") for point in POINTS),
    Case("after statement 2", "terminate", "async", "session"),
    Case("commit held", "kill", "sync", "session"),
    Case("commit done", "kill", "async", "psycopg"),
    Case("commit sent", "terminate", "async", "psycopg"),
    Case("commit held", "reset", "async", "session"),
    Case("commit done", "reset", "async", "session"),
    Case("commit done", "immediate", "sync", "session"),
    Case("between hooks", "reset", "async", "session"),
]


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    with crash.bank() as made:
        yield made


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_matrix(bank: Bank, case: Case) -> None:
    assert crash.run(bank, case) == "done"


@pytest.mark.parametrize(
    "case", [Case("commit done", "client", "sync", "psycopg"), Case("after statement 2", "client", "async", "session")], ids=str
)
def test_the_client_dies(bank: Bank, case: Case) -> None:
    crash.run_child(bank, case)


def moved(number: int, ids: list[str]) -> Any:
    def body(work: Any) -> int:
        ids.append("")
        for statement in crash.STATEMENTS:
            work.conn.execute(statement.format(number=number))
        ids[-1] = work.held.said.id
        return number

    return body


@pytest.mark.parametrize("keyed", [False, True], ids=("", "with a key"))
def test_an_id_that_is_given_again_proves_nothing(bank: Bank, keyed: bool) -> None:
    """The COMMIT never arrives, the server crashes, somebody else gets the same id and commits: that is not our commit."""
    own: list[str] = []
    others: list[str] = []
    number = 1_000_000 + keyed
    if keyed:
        own_tables.install(bank.server.dsn(), "idempotency")

    def act(_pid: int) -> None:
        bank.restart()
        with psycopg.connect(bank.server.dsn(), autocommit=True) as conn:
            others.extend(conn.execute("SELECT pg_current_xact_id()::text").fetchall()[0][0] for _ in range(5))
            conn.execute("SELECT pg_switch_wal()")

    with psycopg.connect(bank.server.dsn(), autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        conn.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)
    bank.proxy.arm("commit held", act)
    with Database(bank.proxy.dsn(bank.server.dsn()), size=PoolSize(1, 2, wait=20.0), retry=Retry(settle=5.0)) as db:
        if keyed:
            assert db.run(moved(number, own), idempotency=Key("move", number)) == number
            assert len(own) == 2
        else:
            with pytest.raises(UnknownOutcomeError):
                db.run(moved(number, own))
            assert (db.counts.asked, db.counts.unknown) == (1, 1)
        assert db.loans() == ()
    assert own[0] in others
    assert bank.moves(number) == keyed


def test_a_status_is_believed_in_one_life_of_one_server() -> None:
    facts = ("7", "00000001", "a")
    assert _told("900", facts, ("committed", *facts, None)) == "committed"
    assert _told("900", facts, ("aborted", "7", "00000001", "b", None)) == "rolled back"
    assert _told("900", facts, ("future", "7", "00000001", "b", None)) == "rolled back"
    assert _told("900", facts, ("in progress", "7", "00000001", "b", None)) == "in progress"
    assert _told("900", facts, ("committed", "7", "00000001", "b", 901)) == "committed"
    assert _told("900", facts, ("committed", "7", "00000001", "b", 900)) == "unknown"
    assert _told("900", facts, ("committed", "7", "00000001", "b", None)) == "unknown"
    assert _told("900", facts, (None, *facts, None)) == "unknown"
    assert _told("900", facts, ("aborted", "7", "00000002", "a", 901)) == "unknown"
    assert _told("900", facts, ("aborted", "8", "00000001", "a", 901)) == "unknown"


def test_a_commit_that_waits_for_a_standby_is_committed_when_it_is_terminated(bank: Bank) -> None:
    """It is in progress until it is terminated, and then committed here: it is asked about until it is one or the other."""

    def wait_for_nobody(name: str) -> None:
        with psycopg.connect(bank.server.dsn(), autocommit=True) as conn:
            conn.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
            conn.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)

    def terminate() -> None:
        with psycopg.connect(bank.server.dsn(), autocommit=True) as conn:
            query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            while not (found := conn.execute(query).fetchone()):
                time.sleep(0.01)
            bank.proxy.cut_all()
            time.sleep(0.2)
            conn.execute("SELECT pg_terminate_backend(%s)", found)

    wait_for_nobody("nobody")
    number = 2_000_000
    try:
        with Database(bank.proxy.dsn(bank.server.dsn()), size=PoolSize(1, 2), retry=Retry(settle=10.0)) as db:
            killer = threading.Thread(target=terminate)
            killer.start()
            assert db.run(moved(number, [])) == number
            killer.join()
            assert (db.counts.asked, db.counts.committed, db.counts.tried_again) == (1, 1, 0)
    finally:
        wait_for_nobody("")
    assert bank.moves(number) == 1


@pytest.mark.parametrize("keyed", [False, True], ids=("", "with a key"))
def test_on_another_timeline_nobody_can_tell(server: Any, keyed: bool) -> None:
    """The primary dies with the answer to a COMMIT on its way, and a standby takes over: its ids are others. A key tells."""
    primary = server(settings=dict(PRIMARY))
    bank = Bank(primary)
    if keyed:
        own_tables.install(primary.dsn(), "idempotency")
    with standby_of(primary) as standby, Proxy(primary) as proxy:
        caught_up(primary, standby)

        def act(_pid: int) -> None:
            caught_up(primary, standby)
            kill(primary)
            promote(standby)

        proxy.arm("commit done", act)
        here, there = conninfo_to_dict(proxy.dsn(primary.dsn())), conninfo_to_dict(standby.dsn())
        either = make_conninfo(
            "",
            **{**here, "host": f"{here['host']},{there['host']}", "port": f"{here['port']},{there['port']}"},  # type: ignore[arg-type]
            target_session_attrs="read-write",
        )
        with Database(either, size=PoolSize(1, 2, wait=10.0), retry=Retry(settle=10.0)) as db:
            own: list[str] = []
            if keyed:
                assert db.run(moved(1, own), idempotency=Key("move", 1)) == 1
                assert db.run(moved(2, own)) == 2
            else:
                told: list[str] = []
                db.watch(["pg_catalog.pg_type"], lambda names: told.extend(sorted(names)))

                def unsure(work: Work) -> int:
                    work.after_commit(lambda: told.append("committed"))
                    work.after_rollback(lambda: told.append("rolled back"))
                    work.after_unknown(lambda: told.append("unknown"))
                    return moved(1, own)(work)

                with pytest.raises(UnknownOutcomeError):
                    db.run(unsure)
                assert told == ["pg_catalog.pg_type", "unknown"]
                assert db.run(moved(2, own)) == 2
            assert len(own) == 2
        bank.proxy.__exit__()
        bank.server = standby
        assert bank.moves(1) == 1
        assert bank.moves(2) == 1


def test_service_goes_on_soon_after_a_restart(server: Any) -> None:
    """psycopg_pool's pauses double up to minutes; ours end at half a second."""
    running = server(settings=crash.SETTINGS)
    with Database(running.dsn(), size=PoolSize(2, 4)) as db:
        db.run(lambda work: work.conn.execute("SELECT 1"))
        lifecycle.end(running.process)
        time.sleep(2.5)
        found: list[float] = []

        def go_on() -> None:
            db.run(lambda work: work.conn.execute("SELECT 1"))
            found.append(time.monotonic())

        waiting = [threading.Thread(target=go_on) for _ in range(8)]
        for each in waiting:
            each.start()
        lifecycle.launch(running, {**lifecycle.EPHEMERAL, "listen_addresses": ""})
        back = time.monotonic()
        for each in waiting:
            each.join()
        assert max(found) - back < 1.5
