"""Failover: a standby becomes the primary, service goes on; positions of another history are not mixed up."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from tests.conftest import installation
from tests.runtime.standby import PRIMARY, caught_up, kill, promote, standby_of
from tests.runtime.test_routing import add, paused, read, ready, soon

from pgcharter.runtime.database import Database
from pgcharter.runtime.outcomes import Retry
from pgcharter.runtime.routing import Routing
from pgcharter.runtime.tokens import seen
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

QUICK = Routing(poll=0.05, silent=10.0, wait=0.05)


def any_of(*servers: Server, kind: str = "read-write") -> str:
    """A DSN of several hosts that leads to the one that can be written to, or to one of another kind."""
    hosts = ",".join(str(each.socket_dir) for each in servers)
    ports = ",".join(str(each.port) for each in servers)
    login = servers[0].login
    return f"host={hosts} port={ports} user={login.user} password={login.password} dbname=postgres target_session_attrs={kind}"


def test_a_replica_may_be_a_list_of_hosts() -> None:
    with lifecycle.start_ephemeral(installation(18), settings=PRIMARY) as a, standby_of(a) as b, standby_of(a) as c:
        counters(a, b, c)
        retry = Retry(attempts=200, deadline=30)
        with Database(any_of(a, b, c), replicas=(any_of(a, b, c, kind="standby"),), routing=QUICK, retry=retry) as db:
            ready(db.router)
            with paused(b):
                for _ in range(50):
                    written = db.run(add(1))
                    assert db.run(read(1), readonly=True)[0] == written
            kill(b)
            for _ in range(50):
                written = db.run(add(1))
                assert db.run(read(1), readonly=True)[0] == written
            soon(db, 1, written)
            kill(a)
            promote(c)
            written = db.run(add(1))
            assert db.run(read(1), readonly=True) == (written, False)


def counters(primary: Server, *standbys: Server) -> None:
    with psycopg.connect(primary.dsn()) as conn:
        conn.execute("CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL)")
        conn.execute("INSERT INTO counters SELECT n, 0 FROM generate_series(1, 20) AS n")
    for each in standbys:
        caught_up(primary, each)


@pytest.mark.parametrize("major", [15, 18])
def test_service_goes_on_when_a_standby_is_promoted(major: int) -> None:
    with lifecycle.start_ephemeral(installation(major), settings=PRIMARY) as a, standby_of(a) as b:
        counters(a, b)
        retry = Retry(attempts=200, deadline=30)
        with Database(any_of(a, b), replicas=(a.dsn(), b.dsn()), routing=QUICK, retry=retry) as db:
            until = time.monotonic() + 5
            while db.router.status() != {"replica 1": "it is no standby", "replica 2": ""}:  # type: ignore[union-attr]
                assert time.monotonic() < until
                time.sleep(0.01)
            written = db.run(add(1))
            caught_up(a, b)
            kill(a)
            died = time.monotonic()
            assert db.run(read(1), readonly=True) == (written, True), "reads go on without a primary"
            threading.Timer(0.3, promote, (b,)).start()
            assert db.run(add(1)) == written + 1
            assert time.monotonic() - died < 20, "the promotion itself came after 0.3 s"
            assert db.run(read(1), readonly=True) == (written + 1, False)
            assert db.router is not None
            assert db.router.latest is not None
            assert db.router.latest.timeline == 2
            until = time.monotonic() + 5
            while db.router.status()["replica 2"] != "it is no standby":
                assert time.monotonic() < until
                time.sleep(0.01)
            with standby_of(b) as c, Database(any_of(a, b), replicas=(c.dsn(),), routing=QUICK) as again:
                ready(again.router)
                text = str(db.router.latest)
                caught_up(b, c)
                with seen(text):
                    soon(again, 1, written + 1)


def test_a_replica_of_another_history_is_not_taken_for_one_that_is_further() -> None:
    """Two writable servers after a promotion: the standby of the old one is further in the log, and has nothing of the new one's."""
    with lifecycle.start_ephemeral(installation(18), settings=PRIMARY) as old, standby_of(old) as new, standby_of(old) as follower:
        counters(old, new, follower)
        promote(new)
        with Database(new.dsn(), replicas=(follower.dsn(),), routing=QUICK) as db:
            ready(db.router)
            with psycopg.connect(old.dsn()) as conn:
                conn.execute("SELECT pg_logical_emit_message(true, '', repeat('x', 3000000))")
            caught_up(old, follower)
            with seen():
                written = db.run(add(1))
                assert db.router is not None
                assert db.router.latest is not None
                until = time.monotonic() + 5
                while db.router.replicas[0].lsn < db.router.latest.lsn:
                    assert time.monotonic() < until
                    time.sleep(0.01)
                for _ in range(20):
                    assert db.run(read(1), readonly=True) == (written, False)
            with seen():
                assert db.run(read(1), readonly=True) == (0, True), "without a token it is a replica as any other"


def test_a_standby_follows_the_new_primary_and_is_taken_again() -> None:
    with lifecycle.start_ephemeral(installation(18), settings=PRIMARY) as a, standby_of(a) as b, standby_of(a) as c:
        counters(a, b, c)
        with Database(any_of(a, b), replicas=(c.dsn(),), routing=Routing(poll=0.05, wait=1.0), retry=Retry(attempts=200)) as db:
            ready(db.router)
            kill(a)
            promote(b)
            with psycopg.connect(c.dsn(), autocommit=True) as conn:
                (told,) = conn.execute("SELECT current_setting('primary_conninfo')").fetchall()[0]
                moved = told.replace(str(a.socket_dir), str(b.socket_dir))
                conn.execute(f"ALTER SYSTEM SET primary_conninfo = {psycopg.sql.quote(moved)}")
                conn.execute("SELECT pg_reload_conf()")
            written = db.run(add(1))
            caught_up(b, c)
            soon(db, 1, written)
            with paused(c):
                written = db.run(add(1))
                assert db.run(read(1), readonly=True) == (written, False)
