"""Transactions over several databases: both colours, every refusal, lost sessions, and what recovery leaves alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.migrate.harm import Proxy
from tests.runtime import poolers
from tests.runtime.conftest import Pooler
from tests.runtime.test_twophase_crash import NAMES, Ground, ground

from pgcharter.errors import RefusedError, UnavailableError, UsageError
from pgcharter.names import literal
from pgcharter.runtime import twophase
from pgcharter.runtime.connections import ContextConnection
from pgcharter.runtime.context import Context, NoTenantError, context
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.twophase import AsyncCoordinator, Coordinator
from pgcharter.runtime.twophase_names import Gid, InDoubtError, NotPreparedError
from pgcharter.runtime.twophase_recover import look, look_async, old, recover, recover_async

SECONDS = timedelta(0)


@pytest.fixture(scope="module")
def servers() -> Iterator[Ground]:
    with ground() as found:
        yield found


@pytest.fixture
def here(servers: Ground) -> Iterator[Ground]:
    yield servers
    servers.recover()
    for dsn in (*servers.dsns().values(), servers.log):
        with psycopg.connect(dsn, autocommit=True) as conn:
            for (gid,) in conn.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").fetchall():
                conn.execute(f"ROLLBACK PREPARED {literal(gid)}".encode())
    servers.clear()
    with psycopg.connect(servers.log) as conn:
        conn.execute("TRUNCATE pgcharter.two_phase_log")


@pytest.fixture
def conns(here: Ground) -> Iterator[dict[str, Any]]:
    found = {name: psycopg.connect(dsn) for name, dsn in here.dsns().items()}
    yield found
    for conn in found.values():
        conn.close()


@pytest.fixture
def coordinate(here: Ground) -> Iterator[Callable[..., Coordinator]]:
    made: list[Coordinator] = []

    def make(reached: Any = None, **said: Any) -> Coordinator:
        made.append(Coordinator(said.pop("log", here.log), name="here", system="test", reached=reached, **said))
        return made[-1]

    yield make
    for one in made:
        one.close()


def work(conns: dict[str, Any], number: int = 1) -> None:
    for name, conn in conns.items():
        conn.execute("INSERT INTO done VALUES (%s, %s)", (number, name))


def rows(here: Ground) -> dict[str, list[int]]:
    found = {}
    for name, dsn in here.dsns().items():
        with psycopg.connect(dsn) as conn:
            found[name] = [n for (n,) in conn.execute("SELECT number FROM done ORDER BY 1").fetchall()]
    return found


def nothing(here: Ground) -> None:
    """Nowhere a row, nowhere anything prepared or decided."""
    here.model.clear()
    here.check()


def kill(dsn: str, like: str) -> None:
    """End sessions by their application name, and see them gone."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        others = "FROM pg_stat_activity WHERE application_name LIKE %s AND pid <> pg_backend_pid()"
        admin.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}".encode(), (like,))


@pytest.mark.parametrize("autocommit", [False, True])
def test_everywhere_or_nowhere(here: Ground, conns: dict[str, Any], coordinate: Any, autocommit: bool) -> None:
    coordinator = coordinate()
    for conn in conns.values():
        conn.autocommit = autocommit
    with coordinator.transaction(conns) as unit:
        work(conns)
        assert unit["a"] is conns["a"]
    assert unit.pending == ()
    with pytest.raises(ZeroDivisionError), coordinator.transaction(conns):  # noqa: PT012
        work(conns, 2)
        raise ZeroDivisionError
    with coordinator.transaction(conns):
        work(conns, 3)
    assert rows(here) == {name: [1, 3] for name in NAMES}
    assert look(here.log, here.dsns(), system="test").left == ()


def test_async(here: Ground) -> None:
    async def go() -> None:
        coordinator = AsyncCoordinator(here.log, name="here", system="test")
        conns = {name: await psycopg.AsyncConnection.connect(dsn) for name, dsn in here.dsns().items()}
        for number in (1, 2):
            async with coordinator.transaction(conns):
                for conn in conns.values():
                    await conn.execute("INSERT INTO done VALUES (%s)", (number,))
        with pytest.raises(NotPreparedError):  # noqa: PT012
            async with coordinator.transaction(conns):
                await conns["a"].execute("INSERT INTO done VALUES (3)")
                await conns["b"].execute("NOTIFY x")
        for conn in (*conns.values(), coordinator):
            await conn.close()  # type: ignore[attr-defined]
        assert (await look_async(here.log, here.dsns(), system="test")).left == ()
        assert (await recover_async(here.log, here.dsns(), system="test")).left == ()

    asyncio.run(go())
    assert rows(here) == {name: [1, 2] for name in NAMES}


@pytest.mark.parametrize("at", [f"{when} {what}" for when in ("before", "after") for what in ("prepare a", "prepare b", "decision")])
def test_a_task_that_is_cancelled(here: Ground, at: str) -> None:
    async def go() -> None:
        task: Any = None
        coordinator = AsyncCoordinator(here.log, name="here", system="test", reached=lambda p: task.cancel() if p == at else None)
        conns = {name: await psycopg.AsyncConnection.connect(dsn) for name, dsn in here.dsns().items()}

        async def transact() -> None:
            async with coordinator.transaction(conns):
                for conn in conns.values():
                    await conn.execute("INSERT INTO done VALUES (1)")

        task = asyncio.create_task(transact())
        with pytest.raises(asyncio.CancelledError):
            await task
        for conn in (*conns.values(), coordinator):
            await conn.close()  # type: ignore[attr-defined]

    asyncio.run(go())
    here.settled()
    here.recover()
    found = rows(here)
    assert found in ({n: [] for n in NAMES}, {n: [1] for n in NAMES})
    assert look(here.log, here.dsns(), system="test").left == ()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT 1/0", "a statement has failed in it"),
        ("NOTIFY x", "LISTEN, UNLISTEN, or NOTIFY"),
        ("CREATE TEMPORARY TABLE t ()", "temporary objects"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "WITH HOLD"),
        ("SELECT pg_export_snapshot()", "exported snapshots"),
    ],
)
def test_what_cannot_be_prepared(here: Ground, conns: dict[str, Any], coordinate: Any, sql: str, why: str) -> None:
    with pytest.raises(NotPreparedError, match=why), coordinate().transaction(conns):  # noqa: PT012
        work(conns)
        with suppress(psycopg.errors.DivisionByZero):
            conns["b"].execute(sql)
    nothing(here)
    conns["b"].execute("SELECT 1")


@pytest.mark.parametrize("again", [False, True])
def test_work_that_ends_the_transaction_itself(here: Ground, conns: dict[str, Any], coordinate: Any, again: bool) -> None:
    with pytest.raises(NotPreparedError, match="another one" if again else "ended"), coordinate().transaction(conns):  # noqa: PT012
        work(conns)
        conns["c"].rollback()
        if again:
            conns["c"].execute("INSERT INTO done VALUES (7)")
    nothing(here)


def test_what_the_work_itself_did_wrong_is_said_as_it_is(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    with psycopg.connect(here.dsns()["b"], autocommit=True) as conn:
        conn.execute("ALTER TABLE done ADD CONSTRAINT once UNIQUE (number) DEFERRABLE INITIALLY DEFERRED")
    try:
        with pytest.raises(psycopg.errors.UniqueViolation), coordinate().transaction(conns):  # noqa: PT012
            work(conns)
            work(conns)
        nothing(here)
    finally:
        with psycopg.connect(here.dsns()["b"], autocommit=True) as conn:
            conn.execute("ALTER TABLE done DROP CONSTRAINT once")


def test_no_room_for_prepared_transactions(here: Ground, conns: dict[str, Any], coordinate: Any, database: str) -> None:
    coordinator = coordinate()
    with psycopg.connect(database) as other:
        with pytest.raises(UnavailableError, match="max_prepared_transactions is 0"), coordinator.transaction({**conns, "d": other}):
            pytest.fail("it began")
        assert other.info.transaction_status == conns["a"].info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with psycopg.connect(here.dsns()["b"]) as conn:
        for n in range(20):
            conn.execute("SELECT 1")
            conn.execute(f"PREPARE TRANSACTION 'other-{n}'".encode())
    with pytest.raises(NotPreparedError, match="maximum number of prepared transactions"), coordinator.transaction(conns):
        work(conns)
    assert rows(here) == {n: [] for n in NAMES}


def test_what_cannot_begin(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    coordinator = coordinate()
    a, b = conns["a"], conns["b"]
    b.execute("SELECT 1")
    closed = psycopg.connect(here.log)
    closed.close()
    for wrong in ({}, {"a": a, "x y": a}, {"a": a, "b": a}, {"a": a, "b": b}, {"a": closed}):
        with pytest.raises(UsageError), coordinator.transaction(wrong):
            pytest.fail("it began")
    with pytest.raises(UsageError, match="no participant is called so"), coordinator.transaction({"a": a}, contexts={"z": Context()}):
        pytest.fail("it began")
    for name in ("", "a/b", "ä"):
        with pytest.raises(UsageError):
            Coordinator(here.log, name=name)
    assert a.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_where_the_log_is_not(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    elsewhere = poolers.past(here.one).dsn("a")
    with pytest.raises(UnavailableError, match="two_phase_log is not there"), coordinate(log=elsewhere).transaction(conns):
        pytest.fail("it began")
    with pytest.raises(UnavailableError, match="two_phase_log is not there"):
        look(elsewhere, {}, system="test") and recover(elsewhere, {}, system="test")


def test_contexts_go_with_begin_and_roles_stay_behind(here: Ground, coordinate: Any) -> None:
    """COMMIT PREPARED takes who has prepared it, and a role that came with the context is gone by then; what is deferred still has it."""
    with psycopg.connect(here.dsns()["a"], autocommit=True) as admin:
        admin.execute("CREATE ROLE tenant_acme; CREATE SCHEMA tenant_acme AUTHORIZATION tenant_acme; CREATE ROLE app LOGIN PASSWORD 'x'")
        admin.execute("GRANT tenant_acme TO app; GRANT SELECT ON pg_prepared_xacts TO app")
        admin.execute("""SET ROLE tenant_acme; CREATE TABLE tenant_acme.t (v text, role text);
            CREATE FUNCTION tenant_acme.late() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN INSERT INTO tenant_acme.t SELECT 'late', current_user WHERE NEW.v <> 'late'; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON tenant_acme.t DEFERRABLE INITIALLY DEFERRED
              FOR EACH ROW EXECUTE FUNCTION tenant_acme.late()""")
        admin.execute("RESET ROLE")
    try:
        seen = "SELECT current_user, current_setting('pgcharter.tenant', true), current_setting('pgcharter.actor', true)"
        with psycopg.connect(here.one.dsn("a", "app", "x")) as a, ContextConnection.connect(here.dsns()["b"]) as b:
            with pytest.raises(NoTenantError), coordinate().transaction({"a": a, "b": b}):
                pytest.fail("it began")
            assert a.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            who = Context(tenant="acme", actor="ann")
            with coordinate().transaction({"a": a}, contexts={"a": who}, placement=Schemas()) as unit:
                assert a.execute(seen).fetchone() == ("tenant_acme", "acme", "ann")
                a.execute("INSERT INTO t VALUES ('now', current_user)")
            assert unit.pending == ()
            assert a.execute(seen).fetchone() == ("app", "", "")
            a.rollback()
            with context(tenant="acme"), coordinate().transaction({"b": b}):
                assert b.execute(seen).fetchone()[1] == "acme"  # type: ignore[index]
        with psycopg.connect(here.dsns()["a"]) as admin:
            found = admin.execute("SELECT * FROM tenant_acme.t ORDER BY v").fetchall()
            assert found == [("late", "tenant_acme"), ("now", "tenant_acme")]
    finally:
        with psycopg.connect(here.dsns()["a"], autocommit=True) as admin:
            admin.execute("DROP OWNED BY tenant_acme, app; DROP ROLE tenant_acme, app")


@pytest.mark.parametrize("at", ["before prepare a", "after prepare a", "before prepare c", "before decision"])
@pytest.mark.parametrize("who", NAMES)
def test_a_participant_is_lost_before_the_decision(here: Ground, conns: dict[str, Any], coordinate: Any, at: str, who: str) -> None:
    """Its session ends, another one is at work: rolled back where it can be, and where it cannot the log says so for recovery."""

    def lose(point: str) -> None:
        if point == at:
            kill(here.dsns()[who], f"lost {who}")

    coordinator = coordinate(lose)
    for name, conn in conns.items():
        conn.execute("SELECT set_config('application_name', %s, false)", (f"lost {name}",))
        conn.commit()
    prepared = NAMES[: {"before prepare a": 0, "after prepare a": 1, "before prepare c": 2, "before decision": 3}[at]]
    if who in prepared and at != "before decision":
        with pytest.raises(ZeroDivisionError), coordinator.transaction(conns):  # noqa: PT012
            work(conns)
            coordinator._reached = lambda p: (lose(p), 1 / 0 if p == at else 0)
    elif who not in prepared:
        with pytest.raises(psycopg.OperationalError), coordinator.transaction(conns):
            work(conns)
    else:
        with coordinator.transaction(conns) as unit:
            work(conns)
        assert unit.pending == (() if poolers.POOLED else (who,)), "whatever session may commit what is prepared"
    here.recover()
    assert rows(here) == {name: [1] if at == "before decision" else [] for name in NAMES}
    coordinator.close()
    here.settled()
    here.recover()
    with psycopg.connect(here.log) as conn:
        assert conn.execute("SELECT * FROM pgcharter.two_phase_log").fetchall() == []


def test_the_log_is_lost_before_the_decision(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    """Recovery is quicker: what it has rolled back is not committed any more, by whatever session."""
    seen: list[Any] = []

    def lose(point: str) -> None:
        if point == "before decision" and not seen:
            seen.append(recover(here.log, here.dsns(), system="test", older=SECONDS))
            kill(here.log, "pgcharter coordinator here")
            seen.append(recover(here.log, here.dsns(), system="test", older=SECONDS))

    coordinator = coordinate(lose)
    with pytest.raises(psycopg.OperationalError), coordinator.transaction(conns):
        work(conns)
    assert {p.state for p in seen[0].left} == {"live"}
    assert (len(seen[1].rolled_back), seen[1].committed) == (3, ())
    nothing(here)
    first = coordinator.epoch
    with coordinator.transaction(conns):
        work(conns)
    assert coordinator.epoch == first
    assert rows(here) == {n: [1] for n in NAMES}


def test_another_session_of_the_log_decides_nothing_for_the_one_before(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    """The session is lost while everything is prepared, and another transaction of the same coordinator has opened a new one."""
    seen: list[Any] = []

    def lose(point: str) -> None:
        if point == "before decision" and not seen:
            seen.append(1)
            kill(here.log, "pgcharter coordinator here")
            with psycopg.connect(here.dsns()["a"]) as other, pytest.raises(psycopg.OperationalError), coordinator.transaction({"a": other}):
                pass
            with psycopg.connect(here.dsns()["a"]) as other, coordinator.transaction({"a": other}):
                pass

    coordinator = coordinate(lose)
    with pytest.raises(NotPreparedError, match="came too late"), coordinator.transaction(conns):
        work(conns)
    nothing(here)


def test_the_answer_to_the_decision_is_lost(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    """It was written; the coordinator finds out from the log, and commits."""
    proxy = Proxy(here.log, session="pgcharter coordinator here")
    coordinator = coordinate(lambda p: proxy.reset_at_answer() if p == "before decision" else None, log=proxy.dsn)
    coordinator_open(coordinator, conns)
    with coordinator.transaction(conns) as unit:
        work(conns)
    assert proxy.broke.is_set()
    assert unit.pending == ()
    coordinator.close()
    proxy.close()
    assert rows(here) == {n: [1] for n in NAMES}
    here.settled()
    here.recover()
    with psycopg.connect(here.log) as conn:
        assert conn.execute("SELECT * FROM pgcharter.two_phase_log").fetchall() == []


def coordinator_open(coordinator: Coordinator, conns: dict[str, Any]) -> None:
    twophase.driven(coordinator._opened())


def test_in_doubt(here: Ground, conns: dict[str, Any], coordinate: Any) -> None:
    """The answer is lost and the log cannot be reached again: neither committed nor rolled back, until recovery comes."""
    proxy = Proxy(here.log, session="pgcharter coordinator here")

    def lose(point: str) -> None:
        if point == "before decision":
            proxy.reset_at_answer()
            coordinator._dsn = "host=127.0.0.1 port=1"

    coordinator = coordinate(lose, log=proxy.dsn, patience=0.2)
    coordinator_open(coordinator, conns)
    with pytest.raises(InDoubtError, match="is prepared everywhere"), coordinator.transaction(conns):
        work(conns)
    proxy.close()
    here.settled()
    assert rows(here) == {n: [] for n in NAMES}
    assert len(here.recover().committed) == 3
    assert rows(here) == {n: [1] for n in NAMES}


def test_many_at_once(here: Ground, coordinate: Any) -> None:
    coordinator = coordinate()
    errors: list[BaseException] = []

    def run(worker: int) -> None:
        try:
            with ExitStack() as stack:
                conns = {name: stack.enter_context(psycopg.connect(dsn)) for name, dsn in here.dsns().items()}
                for n in range(10):
                    with coordinator.transaction(conns):
                        work(conns, worker * 100 + n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(w,)) for w in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert errors == []
    wanted = sorted(w * 100 + n for w in range(6) for n in range(10))
    assert rows(here) == dict.fromkeys(NAMES, wanted)


def test_what_is_not_ours_is_left_and_seen(here: Ground) -> None:
    with psycopg.connect(here.dsns()["a"]) as conn:
        for gid in ("by hand", "pgcharter/test/0123456789ab/x/1/1/a", "pgcharter/other/0123456789ab/x/1/1/a", "pgcharter/test/x"):
            conn.execute("SELECT 1")
            conn.execute(f"PREPARE TRANSACTION {literal(gid)}".encode())
    found = here.recover()
    assert {p.gid: p.state for p in found.left} == {
        "by hand": "foreign",
        "pgcharter/test/0123456789ab/x/1/1/a": "other log",
        "pgcharter/other/0123456789ab/x/1/1/a": "foreign",
        "pgcharter/test/x": "foreign",
    }
    assert len(old(found.left, SECONDS)) == 4
    assert old(found.left, timedelta(hours=1)) == ()
    ages = [p.age for p in old(found.left, SECONDS)]
    assert ages == sorted(ages, reverse=True)


def test_too_young_and_not_mine(here: Ground) -> None:
    """An orphan that is not old enough stays; one that another role has prepared can be ended by that role alone, and this is said."""
    here.run("before decision", NAMES)
    here.settled()
    found = recover(here.log, here.dsns(), system="test")
    assert {(p.state, p.why) for p in found.left} == {("orphan", "it is not old enough")}
    with psycopg.connect(here.one.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE recoverer LOGIN PASSWORD 'x'")
        try:
            dsns = {**here.dsns(), "a": here.one.dsn("a", "recoverer", "x")}
            found = recover(here.log, dsns, system="test", older=SECONDS)
            assert [(p.database, "permission denied" in p.why) for p in found.left] == [("a", True)]
        finally:
            admin.execute("DROP ROLE recoverer")
    assert len(here.recover().rolled_back) == 1


def test_the_right_database_is_found_on_the_same_server(here: Ground) -> None:
    """c is on the server of a, and nobody names it: its part is ended there all the same, and b's is left."""
    here.run("after decision", NAMES)
    here.settled()
    found = recover(here.log, {"a": here.dsns()["a"]}, system="test", older=SECONDS)
    assert len(found.committed) == 2
    assert len(found.waiting) == 1
    assert rows(here) == {"a": [*here.model][-1:], "b": [], "c": [*here.model][-1:]}


def test_a_log_through_a_pooler_is_refused(here: Ground, conns: dict[str, Any], coordinate: Any, pooler: Pooler) -> None:
    with psycopg.connect(here.one.dsn(), autocommit=True) as admin:
        admin.execute("CREATE ROLE pooled LOGIN SUPERUSER PASSWORD 'x'")
        try:
            with pooler(here.one, {"pooled": "x"}, 2) as port:
                dsn = f"host=127.0.0.1 port={port} user=pooled password=x dbname=log"
                with pytest.raises(RefusedError, match="a pooler stands between"), coordinate(log=dsn).transaction(conns):
                    pytest.fail("it began")
        finally:
            admin.execute("DROP ROLE pooled")


@pytest.mark.parametrize(
    "text", ["", "pgcharter", "pgcharter/a/b/c/1/2", "pgcharter/a/b/c/x/2/d", "other/a/b/c/1/2/d", "pgcharter/a/b/c/²/2/d"]
)
def test_names_of_others(text: str) -> None:
    assert Gid.parse(text) is None


def test_the_longest_name_fits() -> None:
    gid = Gid("s" * 40, "f" * 12, "c" * 40, 2**63 - 1, 2**63 - 1, "p" * 40)
    assert len(str(gid)) < 200
    assert Gid.parse(str(gid)) == gid
