"""Routing on real standbys: whoever has written reads it, wherever the read goes; replicas that lag, die, conflict and come back."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.runtime.standby import PRIMARY, caught_up, kill, standby_of

from pgcharter.errors import UsageError
from pgcharter.runtime.database import AsyncDatabase, Database
from pgcharter.runtime.pools import PoolSize
from pgcharter.runtime.routing import Router, Routing, Token
from pgcharter.runtime.tokens import lsn_of, seen, token_text
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

Pair = tuple[Server, Server]
QUICK = Routing(poll=0.05, silent=10.0)
IN_RECOVERY = "SELECT pg_is_in_recovery()"


@contextmanager
def pair_of(major: int) -> Iterator[Pair]:
    """A primary and its standby, with a table of counters."""
    with lifecycle.start_ephemeral(installation(major), settings=PRIMARY) as primary, standby_of(primary) as standby:
        with psycopg.connect(primary.dsn()) as conn:
            conn.execute("CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL) WITH (fillfactor = 50)")
            conn.execute("INSERT INTO counters SELECT n, 0 FROM generate_series(1, 20) AS n")
        caught_up(primary, standby)
        yield primary, standby


@pytest.fixture(scope="module")
def pairs() -> Iterator[Callable[[int], Pair]]:
    """`pairs(18)`: made when it is first asked for."""
    with ExitStack() as stack:
        running: dict[int, Pair] = {}

        def get(major: int) -> Pair:
            if major not in running:
                running[major] = stack.enter_context(pair_of(major))
            return running[major]

        yield get


@pytest.fixture
def pair(pairs: Callable[[int], Pair], request: pytest.FixtureRequest) -> Pair:
    return pairs(getattr(request, "param", 18))


both = pytest.mark.parametrize("pair", [15, 18], indirect=True, ids=["pg15", "pg18"])


def ready(router: Any, seconds: float = 10.0) -> Router:
    """The router, when all replicas are in."""
    until = time.monotonic() + seconds
    while any(router.status().values()):
        assert time.monotonic() < until, router.status()
        time.sleep(0.01)
    assert isinstance(router, Router)
    return router


@contextmanager
def routed(pair: Pair, routing: Routing = QUICK, **more: Any) -> Iterator[Database]:
    primary, standby = pair
    with Database(primary.dsn(), replicas=(standby.dsn(),), routing=routing, **more) as db:
        ready(db.router)
        yield db


@contextmanager
def paused(standby: Server) -> Iterator[None]:
    """Nothing is replayed inside."""
    with psycopg.connect(standby.dsn(), autocommit=True) as conn:
        conn.execute("SELECT pg_wal_replay_pause()")
        while conn.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
            time.sleep(0.002)
        try:
            yield
        finally:
            conn.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def stammering(standby: Server, longest: float) -> Iterator[None]:
    """Replay stops and goes on at random."""
    over = threading.Event()

    def stammer() -> None:
        with psycopg.connect(standby.dsn(), autocommit=True) as conn:
            while not over.wait(random.uniform(0, longest)):
                conn.execute("SELECT pg_wal_replay_pause()")
                over.wait(random.uniform(0, longest))
                conn.execute("SELECT pg_wal_replay_resume()")

    thread = threading.Thread(target=stammer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def resume(standby: Server) -> None:
    with psycopg.connect(standby.dsn(), autocommit=True) as conn:
        conn.execute("SELECT pg_wal_replay_resume()")


def add(key: int) -> Callable[[Any], int]:
    return lambda work: work.conn.execute("UPDATE counters SET value = value + 1 WHERE id = %s RETURNING value", (key,)).fetchone()[0]


def read(key: int) -> Callable[[Any], tuple[int, bool]]:
    return lambda work: work.conn.execute("SELECT value, pg_is_in_recovery() FROM counters WHERE id = %s", (key,)).fetchone()


def soon(db: Database, key: int, value: int, **terms: Any) -> None:
    """What was written is read at once, and from the replica as soon as that is known to be there."""
    until = time.monotonic() + 10
    while (found := db.run(read(key), readonly=True, **terms)) != (value, True):
        assert found == (value, False)
        assert time.monotonic() < until


def write_and_read(db: Database, rounds: int, isolations: tuple[Any, ...] = ("", "repeatable read")) -> int:
    """Each round writes and reads at once; gives how many reads saw less than what they had to."""
    stale = 0
    for _ in range(rounds):
        key = random.randint(1, 20)
        with seen():
            written = db.run(add(key))
            found, _ = db.run(read(key), readonly=True, isolation=random.choice(isolations))
        stale += found < written
    return stale


def law(pair: Pair, rounds: int, threads: int = 4) -> tuple[int, Any]:
    """Rounds in threads, while replay stammers: stale reads and what the router counted."""
    stale: list[int] = []
    with routed(pair, Routing(poll=0.05, wait=0.02)) as db, stammering(pair[1], 0.03):
        crew = [threading.Thread(target=lambda: stale.append(write_and_read(db, rounds // threads))) for _ in range(threads)]
        for each in crew:
            each.start()
        for each in crew:
            each.join()
        assert db.router is not None
        assert len(stale) == threads
        return sum(stale), db.router.counts


@both
def test_what_is_written_is_read_while_replay_stammers(pair: Pair) -> None:
    stale, counts = law(pair, 1200)
    assert stale == 0
    assert counts.replica + counts.primary == 1200
    assert min(counts.replica, counts.primary, counts.waited) > 10


def test_what_tasks_write_is_read_while_replay_stammers(pair: Pair) -> None:
    primary, standby = pair

    async def write(db: AsyncDatabase, key: int) -> int:
        async def fn(work: Any) -> int:
            return int(
                (await (await work.conn.execute("UPDATE counters SET value = value + 1 WHERE id = %s RETURNING value", (key,))).fetchone())[
                    0
                ]
            )

        return await db.run(fn)

    async def look(db: AsyncDatabase, keys: list[int]) -> dict[int, int]:
        async def fn(work: Any) -> dict[int, int]:
            return dict(await (await work.conn.execute("SELECT id, value FROM counters WHERE id = ANY (%s)", (keys,))).fetchall())

        return await db.run(fn, readonly=True)

    async def worker(db: AsyncDatabase) -> None:
        for _ in range(100):
            keys = random.sample(range(1, 21), 2)
            with seen() as scope:
                written = dict(zip(keys, await asyncio.gather(*[write(db, key) for key in keys]), strict=True))
                found = await look(db, keys)
                assert all(found[key] >= written[key] for key in keys)
                text = scope.text()
            with seen(text):
                found = await look(db, keys)
                assert all(found[key] >= written[key] for key in keys)

    async def main() -> None:
        async with AsyncDatabase(primary.dsn(), replicas=(standby.dsn(),), routing=Routing(poll=0.05, wait=0.02)) as db:
            assert db.router is not None
            while any(db.router.status().values()):
                await asyncio.sleep(0.01)
            await asyncio.gather(*[worker(db) for _ in range(4)])
            assert min(db.router.counts.replica, db.router.counts.primary) > 5

    with stammering(standby, 0.03):
        asyncio.run(main())


@both
def test_the_token_goes_from_one_process_to_another(pair: Pair) -> None:
    with routed(pair) as writer, routed(pair) as reader:
        before = reader.run(read(1), readonly=True)
        assert before[1]
        with paused(pair[1]):
            with seen(secret=b"s" * 32) as scope:
                written = writer.run(add(1))
                text = scope.text()
            assert writer.router is not None
            assert writer.router.latest is not None
            system, lsn = writer.router.latest.system, writer.router.latest.lsn
            assert reader.run(read(1), readonly=True) == before, "without the token the replica is as good as any"
            with seen(text, secret=b"s" * 32):
                assert reader.run(read(1), readonly=True) == (written, False)
            with seen(text, secret=b"f" * 32) as refused:
                assert reader.run(read(1), readonly=True) == before
                assert refused.refused
            with seen(text.replace(system, "123")) as foreign:
                assert foreign.refused == "it has not the form of a token", "it is signed, and no secret is known here"
                assert reader.run(read(1), readonly=True) == before
            with seen(f"123.1.{1 << 60:x}") as foreign:
                assert not foreign.refused
                assert reader.run(read(1), readonly=True) == before
            token = Token(system, lsn)
            assert reader.run(read(1), readonly=True, after=token) == (written, False)
            assert reader.run(read(1), readonly=True, after=Token("123", 1 << 60)) == before
        caught_up(*pair)
        with seen(text, secret=b"s" * 32):
            soon(reader, 1, written)


def test_outside_of_a_scope_all_that_the_process_has_written_is_read(pair: Pair) -> None:
    with routed(pair, Routing(poll=0.05, wait=0.0)) as db, paused(pair[1]):
        written: list[int] = []
        thread = threading.Thread(target=contextvars.Context().run, args=(lambda: written.append(db.run(add(2))),))
        thread.start()
        thread.join()
        assert token_text() == ""
        assert db.run(read(2), readonly=True) == (written[0], False)
        with seen():
            assert db.run(read(2), readonly=True) == (written[0] - 1, True), "a scope of its own has seen nothing"


def test_a_read_waits_for_a_replica_that_is_close(pair: Pair) -> None:
    with routed(pair, Routing(poll=0.05, wait=5.0)) as db, seen():
        with paused(pair[1]):
            written = db.run(add(3))
            timer = threading.Timer(
                0.2, lambda: psycopg.connect(pair[1].dsn(), autocommit=True).execute("SELECT pg_wal_replay_resume()").connection.close()
            )
            timer.start()
            began = time.monotonic()
            assert db.run(read(3), readonly=True) == (written, True)
            assert 0.1 < time.monotonic() - began < 4.9
            timer.join()
        assert db.router is not None
        assert db.router.counts.waited == 1


def test_a_made_up_position_costs_the_wait_and_nothing_more(pair: Pair) -> None:
    with routed(pair, Routing(poll=0.05, wait=0.05)) as db:
        assert db.router is not None
        for lsn, timeline in ((1 << 62, 1), (1, 2**32 - 1)):
            with seen(f"{db.router.system}.{timeline:x}.{lsn:x}") as scope:
                assert not scope.refused
                began = time.monotonic()
                assert not db.run(read(1), readonly=True)[1]
                assert time.monotonic() - began < 3
        assert db.run(read(1), readonly=True)[1]


def test_a_snapshot_is_older_than_the_position_that_is_asked_with_it(pair: Pair) -> None:
    """Why the position is asked before BEGIN: in REPEATABLE READ the snapshot comes first, and stays."""
    primary, standby = pair
    with psycopg.connect(standby.dsn()) as replica, routed(pair) as db, seen():
        replica.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        first = db.run(read(4))[0]
        caught_up(*pair)
        writing = threading.Timer(0.15, contextvars.copy_context().run, (db.run, add(4)))
        writing.start()
        row = replica.execute("SELECT pg_sleep(0.6), pg_last_wal_replay_lsn()::text").fetchone()
        writing.join()
        token = db.router.latest  # type: ignore[union-attr]
        assert row
        assert token
        assert lsn_of(row[1]) >= token.lsn, "the position says that the write is there"
        assert replica.execute("SELECT value FROM counters WHERE id = 4").fetchone() == (first,), "the snapshot does not have it"
        assert primary.data != standby.data
        soon(db, 4, first + 1, isolation="repeatable read")


def test_what_a_standby_cannot_do_is_done_on_the_primary(pair: Pair) -> None:
    with routed(pair) as db:
        assert db.run(read(1), readonly=True)[1]
        assert not db.run(read(1), readonly=True, isolation="serializable")[1]
        assert not db.run(read(1))[1]
    unlike = "options=-c%20default_transaction_isolation%3Dserializable"
    with Database(pair[0].dsn(), replicas=(f"{pair[1].dsn()}&{unlike}",), routing=QUICK) as db:
        heard(db)
        assert "serializable" in db.router.status()["replica 1"]  # type: ignore[union-attr]
        assert not db.run(read(1), readonly=True, isolation="read committed")[1]


def heard(db: Database) -> None:
    """Return when each replica has been looked at."""
    until = time.monotonic() + 5
    while any("heard" in why for why in db.router.status().values()):  # type: ignore[union-attr]
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_replica_that_lags_is_left_out_and_taken_back(pair: Pair) -> None:
    with routed(pair, Routing(poll=0.05, max_lag=0.4, back=0.5, silent=5)) as db:
        assert db.router is not None
        (replica,) = db.router.replicas
        with paused(pair[1]):
            began = time.monotonic()
            while not replica.out:
                db.run(add(5))
                time.sleep(0.02)
                assert time.monotonic() - began < 5
            assert time.monotonic() - began > 0.3
            assert " behind" in db.router.status()["replica 1"]
            with seen():
                assert not db.run(read(5), readonly=True)[1], "left out for those too who have written nothing"
        ready(db.router)
        with seen():
            assert db.run(read(5), readonly=True)[1]
        assert replica.removed == 1
        time.sleep(0.6)
        assert not replica.out, "nothing is written for longer than max_lag, which is no lag"


def test_a_replica_that_dies_is_left_out_and_taken_back(pair: Pair) -> None:
    primary, standby = pair
    with routed(pair) as db:
        assert db.router is not None
        assert db.run(read(6), readonly=True)[1]
        kill(standby)
        written = 0
        for _ in range(20):
            written = db.run(add(6))
            assert db.run(read(6), readonly=True) == (written, False)
        assert "connections fail" in db.router.status()["replica 1"]
        lifecycle.launch(standby, {**lifecycle.EPHEMERAL, "listen_addresses": "", "wal_retrieve_retry_interval": "100ms"})
        ready(db.router, 20)
        caught_up(primary, standby)
        soon(db, 6, written)
        assert db.router.replicas[0].removed == 1


def test_a_replica_that_hangs_is_left_out(pair: Pair) -> None:
    standby = pair[1]
    assert standby.process
    with routed(pair, Routing(poll=0.05, silent=0.4)) as db:
        assert db.run(read(6), readonly=True)[1]
        sessions = session_pids(standby)
        try:
            for pid in (standby.process.pid, *sessions):
                os.kill(pid, signal.SIGSTOP)
            time.sleep(0.6)
            began = time.monotonic()
            assert not db.run(read(6), readonly=True)[1]
            assert time.monotonic() - began < 5
            assert "silent" in db.router.status()["replica 1"]  # type: ignore[union-attr]
        finally:
            for pid in (standby.process.pid, *sessions):
                os.kill(pid, signal.SIGCONT)
        ready(db.router)


def session_pids(server: Server) -> list[int]:
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        rows = conn.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
        return [pid for (pid,) in rows]


def test_an_ordinary_role_is_enough(pair: Pair) -> None:
    with psycopg.connect(pair[0].dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE shop LOGIN PASSWORD 'secret'")
        conn.execute("GRANT SELECT, UPDATE ON counters TO shop")
    caught_up(*pair)
    dsns = [each.dsn(user="shop", password="secret") for each in pair]
    with Database(dsns[0], replicas=dsns[1:], routing=QUICK) as db:
        ready(db.router)
        written = db.run(add(8))
        caught_up(*pair)
        soon(db, 8, written)


def test_a_replica_that_dies_in_the_middle_is_left_for_the_next_try(pair: Pair) -> None:
    tries: list[bool] = []

    def twice(work: Any) -> int:
        tries.append(work.conn.execute(IN_RECOVERY).fetchone()[0])
        if work.attempt == 1:
            with psycopg.connect(pair[1].dsn(), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (work.conn.info.backend_pid,))
        return int(work.conn.execute("SELECT 7").fetchone()[0])

    with routed(pair) as db:
        assert db.run(twice, readonly=True) == 7
        assert tries[0]
        assert len(tries) == 2


def test_conflicts_with_recovery_end_on_the_primary(pair: Pair) -> None:
    primary, standby = pair
    tries: list[bool] = []

    def long(work: Any) -> int:
        tries.append(work.conn.execute(IN_RECOVERY).fetchone()[0])
        work.conn.execute("SELECT count(*) FROM counters").fetchone()
        if tries[-1]:
            with psycopg.connect(primary.dsn(), autocommit=True) as other:
                other.execute("UPDATE counters SET value = value + 1")
                other.execute("VACUUM counters")
            work.conn.execute("SELECT pg_sleep(5)")
        return int(work.conn.execute("SELECT count(*) FROM counters").fetchone()[0])

    with psycopg.connect(standby.dsn(), autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET max_standby_streaming_delay = '50ms'")
        conn.execute("SELECT pg_reload_conf()")
    try:
        with routed(pair) as db:
            assert db.run(long, readonly=True, isolation="repeatable read") == 20
        assert tries == [True, True, False]
    finally:
        with psycopg.connect(standby.dsn(), autocommit=True) as conn:
            conn.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
            conn.execute("SELECT pg_reload_conf()")


def test_a_pool_that_is_exhausted_sends_reads_to_the_primary(pair: Pair) -> None:
    with routed(pair, Routing(poll=0.05, borrow=0.05), size=PoolSize(min=1, max=1)) as db:
        with db.begin(readonly=True) as outer:
            assert outer.conn.execute(IN_RECOVERY).fetchone() == (True,)
            found: list[Any] = []
            thread = threading.Thread(target=lambda: found.append(db.run(read(1), readonly=True)))
            thread.start()
            thread.join()
        assert not found[0][1]
        assert db.router is not None
        assert not any(db.router.status().values()), "busy is not broken"


def test_servers_that_are_no_replicas_are_left_out(pair: Pair, server_of: Callable[[int], Server]) -> None:
    primary, _ = pair
    others = primary.dsn(), server_of(15).dsn(), "host=/nowhere dbname=x"
    with Database(primary.dsn(), replicas=others, routing=QUICK) as db:
        heard(db)
        assert db.router is not None
        first, second, third = db.router.status().values()
        assert first == "it is no standby"
        assert second.startswith("it is of system ")
        assert third.startswith("its connections fail: ")
        assert not db.run(read(1), readonly=True)[1]


@both
def test_a_commit_that_ends_with_its_page_is_replayed_when_it_is(pair: Pair) -> None:
    """The insert position is behind the next page's header then, where no replica comes until something else is written."""
    with psycopg.connect(pair[0].dsn(), autocommit=True) as conn, routed(pair, Routing(poll=0.05, wait=0.0)) as db:
        around = 120
        for _ in range(50):
            now = insert_position(conn)
            size = 8192 - now % 8192 - around
            db.run(lambda work, size=size: work.conn.execute("SELECT pg_logical_emit_message(true, '', repeat('x', %s))", (max(0, size),)))
            end = insert_position(conn)
            if end % 8192 == 24:
                break
            around += (end - now - 8192 + now % 8192) if size > 0 else 0
        assert end % 8192 == 24
        assert db.router is not None
        assert db.router.latest is not None
        assert db.router.latest.lsn == end - 24
        caught_up(*pair)
        with psycopg.connect(pair[1].dsn(), autocommit=True) as replica:
            assert lsn_of(str(replica.execute("SELECT pg_last_wal_replay_lsn()::text").fetchall()[0][0])) == end - 24
        assert db.run(read(1), readonly=True)[1]


def insert_position(conn: psycopg.Connection[Any]) -> int:
    return lsn_of(conn.execute("SELECT pg_current_wal_insert_lsn()::text").fetchall()[0][0])


def test_after_a_commit_whose_answer_was_lost_the_primary_is_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with routed(pair, Routing(poll=0.2, wait=0.0)) as db, paused(pair[1]):
        router = db.router
        assert router is not None
        heard_of = router.committed

        def lost(work: Any) -> None:
            work.held.said.told = ()
            heard_of(work)

        monkeypatch.setattr(router, "committed", lost)
        with seen():
            written = db.run(add(7))
            assert db.run(read(7), readonly=True) == (written, False)
        assert db.run(read(7), readonly=True) == (written, False)
        until = time.monotonic() + 5
        while router._blind:
            assert time.monotonic() < until
            assert db.run(read(7), readonly=True) == (written, False)
        assert db.run(read(7), readonly=True) == (written, False), "now its position is known"
        with seen():
            assert db.run(read(7), readonly=True) == (written - 1, True)


def test_replicas_serve_while_the_primary_cannot_be_reached_from_the_start(pair: Pair) -> None:
    with Database("host=/nowhere dbname=x", replicas=(pair[1].dsn(),), routing=QUICK) as db:
        ready(db.router)
        assert db.run(read(1), readonly=True)[1]


def test_sessions_of_read_only_work_are_on_the_replica(pair: Pair) -> None:
    import sqlalchemy

    async def main() -> None:
        async with AsyncDatabase(pair[0].dsn(), replicas=(pair[1].dsn(),), routing=QUICK) as db:
            while any(db.router.status().values()):  # type: ignore[union-attr]
                await asyncio.sleep(0.01)

            async def ask(work: Any) -> Any:
                return await work.session.scalar(sqlalchemy.text(IN_RECOVERY))

            assert await db.run(ask, readonly=True)
            assert not await db.run(ask)

    with routed(pair) as db:
        assert db.run(lambda work: work.session.scalar(sqlalchemy.text(IN_RECOVERY)), readonly=True)
        assert not db.run(lambda work: work.session.scalar(sqlalchemy.text(IN_RECOVERY)))
    asyncio.run(main())


def test_the_law_holds_through_a_pooler(pair: Pair, pooler: Any) -> None:
    primary, standby = pair
    login = primary.login
    with pooler(primary, {login.user: login.password}, 6) as near, pooler(standby, {login.user: login.password}, 6) as far:
        dsn = f"host=127.0.0.1 user={login.user} password={login.password} dbname=postgres port="
        with Database(f"{dsn}{near}", replicas=(f"{dsn}{far}",), routing=Routing(poll=0.05, wait=0.02)) as db:
            router = ready(db.router)
            with stammering(standby, 0.03):
                assert write_and_read(db, 200) == 0
            assert min(router.counts.replica, router.counts.primary) > 0


def test_routing_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"poll": 0}, {"wait": -1}, {"back": 0}, {"back": 1.1}, {"silent": 0.5, "poll": 1.0}):
        with pytest.raises(UsageError):
            Routing(**wrong)


if __name__ == "__main__":
    for major in (15, 18):
        with pair_of(major) as here:
            sys.stdout.write(f"{major}: {law(here, int(sys.argv[1]))}\n")
