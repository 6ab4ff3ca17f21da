"""The coordinator killed at every point, servers stopped and gone meanwhile: recovered, it is all or nothing, and nothing stays prepared.

`python -m tests.runtime.test_twophase_crash [rounds]` runs the whole matrix, servers stopped in between as well, and prints the count.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.migrate import harm
from tests.runtime import poolers
from tests.runtime.own_tables import install

from pgcharter.runtime.twophase import Coordinator
from pgcharter.runtime.twophase_names import InDoubtError, NotPreparedError
from pgcharter.runtime.twophase_recover import Recovery, look, recover
from pgcharter.servers import lifecycle
from pgcharter.servers.lifecycle import Server

SETTINGS: dict[str, Any] = {"max_prepared_transactions": "20"}
NAMES = ("a", "b", "c")


def points(names: tuple[str, ...]) -> list[str]:
    """Every point that a transaction over these passes."""
    prepared = [f"{when} prepare {n}" for n in names for when in ("before", "after")]
    committed = [f"{when} commit {n}" for n in names for when in ("before", "after")]
    return ["worked", *prepared, "before decision", "after decision", *committed, "before forgetting", "after forgetting", "end", "never"]


DECIDED = ("after decision", "commit", "forgetting", "end", "never")


@dataclass
class Ground:
    """Two servers: a and c are databases of the first, which has the log in a third; b is one of the second."""

    one: Server
    two: Server
    child: subprocess.Popen[str]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    model: dict[int, bool] = field(default_factory=dict)

    def dsns(self) -> dict[str, str]:
        return {"a": self.one.dsn("a"), "b": self.two.dsn("b"), "c": self.one.dsn("c")}

    @property
    def log(self) -> str:
        return poolers.past(self.one).dsn("log")

    def run(self, at: str, names: tuple[str, ...]) -> None:
        """One transaction, killed at a point; what should have become of it goes into the model."""
        number = next(self.numbers)
        assert self.child.stdin
        assert self.child.stdout
        said = {"log": self.log, "participants": {n: self.dsns()[n] for n in names}, "number": number, "at": at}
        self.child.stdin.write(json.dumps(said) + "\n")
        self.child.stdin.flush()
        assert int(self.child.stdout.readline()) == (0 if at == "never" else -9)
        self.model[number] = any(word in at for word in DECIDED)

    def recover(self, **dsns: str) -> Recovery:
        return recover(self.log, {**self.dsns(), **dsns}, system="test", older=timedelta(0))

    def settled(self) -> None:
        """The coordinators' sessions are gone: the kernel closes a dead process's sockets, and the server has heard of it."""
        with psycopg.connect(self.log, autocommit=True) as conn:
            while conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() != (0,):
                pass

    def check(self, names: tuple[str, ...] = NAMES) -> None:
        """All or nothing as the model says, and nothing left."""
        wanted = sorted(n for n, committed in self.model.items() if committed)
        for name, dsn in self.dsns().items():
            with psycopg.connect(dsn) as conn:
                found = [row[0] for row in conn.execute("SELECT number FROM done ORDER BY number").fetchall()]
                assert found == (wanted if name in names else []), name
                assert conn.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)
        with psycopg.connect(self.log) as conn:
            assert conn.execute("SELECT * FROM pgcharter.two_phase_log").fetchall() == []

    def clear(self) -> None:
        self.model.clear()
        for dsn in self.dsns().values():
            with psycopg.connect(dsn) as conn:
                conn.execute("TRUNCATE done")


@contextmanager
def ground(major: int | None = None) -> Iterator[Ground]:
    with ExitStack() as stack:
        servers = [stack.enter_context(lifecycle.start_ephemeral(installation(major), settings=SETTINGS)) for _ in range(2)]
        one, two = (stack.enter_context(poolers.as_asked(server)) for server in servers)
        for server, names in ((one, ("a", "c", "log")), (two, ("b",))):
            for name in names:
                with psycopg.connect(server.dsn(), autocommit=True) as admin:
                    admin.execute(f"CREATE DATABASE {name}".encode())
                with psycopg.connect(server.dsn(name)) as conn:
                    conn.execute("CREATE TABLE done (number int, name text)")
        install(poolers.past(one).dsn("log"), "two_phase")
        command = [sys.executable, "-m", "tests.runtime.twophase_child"]
        child = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        try:
            yield Ground(one, two, child)
        finally:
            assert child.stdin
            child.stdin.close()
            child.wait(10)


@pytest.fixture(scope="module")
def servers() -> Iterator[Ground]:
    with ground() as found:
        yield found


@pytest.fixture
def field_(servers: Ground) -> Ground:
    servers.clear()
    return servers


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a", "c")], ids="".join)
def test_killed_at_every_point(field_: Ground, names: tuple[str, ...]) -> None:
    for at in points(names):
        field_.run(at, names)
        field_.settled()
        found = field_.recover()
        assert (found.left, found.unreachable, found.waiting) == ((), {}, ()), at
        field_.check(names)


def test_killed_at_every_point_and_recovered_together(field_: Ground) -> None:
    """All of them first, then four recoveries at a time, and once more."""
    for at in points(NAMES):
        field_.run(at, NAMES)
    field_.settled()
    assert {p.state for p in look(field_.log, field_.dsns(), system="test").left} == {"commit", "orphan"}
    threads = [threading.Thread(target=field_.recover) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    field_.recover()
    field_.check()
    assert field_.recover() == Recovery()


def test_a_participant_that_is_not_there_is_left_for_the_next_time(field_: Ground) -> None:
    for at in points(NAMES):
        field_.run(at, NAMES)
    field_.settled()
    found = field_.recover(b="host=127.0.0.1 port=1 dbname=b")
    assert list(found.unreachable) == ["b"]
    decided_and_not_forgotten = [p for p in points(NAMES) if p == "after decision" or "commit" in p or p == "before forgetting"]
    assert len(found.waiting) == len(decided_and_not_forgotten)
    with psycopg.connect(field_.dsns()["b"]) as conn:
        assert conn.execute("SELECT count(*) > 0 FROM pg_prepared_xacts").fetchone() == (True,)
    assert field_.recover().waiting == ()
    field_.check()


@pytest.mark.parametrize("which", ["one", "two"])
def test_servers_crash_meanwhile(field_: Ground, which: str) -> None:
    """What was prepared and what was decided outlive the server, stopped at once while it holds both."""
    for at in points(NAMES):
        field_.run(at, NAMES)
    harm.kill(getattr(field_, which), signal.SIGQUIT, {**harm.SETTINGS, **SETTINGS})
    field_.settled()
    field_.recover()
    field_.check()


def test_recovery_beside_the_living(field_: Ground) -> None:
    storm(field_, seconds=3)


def storm(here: Ground, seconds: float, workers: int = 4) -> tuple[int, int]:
    """Coordinators at work, sessions of theirs and of the log ended at random, and two recoveries all the time that wait for nothing.

    What was reported done is there everywhere, what was reported undone nowhere, the rest in all or none. How many of each.
    """
    end, chance = time.monotonic() + seconds, random.Random(7)
    numbers, told = itertools.count(1), dict[int, bool | None]()
    errors: list[BaseException] = []

    def coordinate(worker: int) -> None:
        name = f"storm-{worker}"
        with closing(Coordinator(here.log, name=name, system="test", patience=5)) as coordinator:
            while time.monotonic() < end:
                number = next(numbers)
                told[number] = None
                try:
                    with ExitStack() as stack:
                        conns = {n: stack.enter_context(psycopg.connect(d, application_name=name)) for n, d in here.dsns().items()}
                        with coordinator.transaction(conns):
                            for n, conn in conns.items():
                                conn.execute("INSERT INTO done VALUES (%s, %s)", (number, n))
                    told[number] = True
                except InDoubtError:
                    continue
                except (psycopg.Error, NotPreparedError):
                    told[number] = False

    def harm_sessions() -> None:
        servers = [psycopg.connect(d, autocommit=True) for d in (here.log, here.dsns()["b"])]
        while time.monotonic() < end:
            time.sleep(chance.uniform(0, 0.02))
            chance.choice(servers).execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s AND pid <> pg_backend_pid()"
                " ORDER BY random() LIMIT 1",
                (chance.choice(["storm-%", "pgcharter coordinator%", "pgcharter recovery"]),),
            )
        for conn in servers:
            conn.close()

    def recover_all() -> None:
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                here.recover()

    def kept(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    jobs = [*(partial(coordinate, w) for w in range(workers)), harm_sessions, recover_all, recover_all]
    threads = [threading.Thread(target=kept, args=(job,)) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    here.settled()
    here.recover()
    found = {}
    for name, dsn in here.dsns().items():
        with psycopg.connect(dsn) as conn:
            found[name] = sorted(n for (n,) in conn.execute("SELECT number FROM done").fetchall())
    assert found["a"] == found["b"] == found["c"]
    there = set(found["a"])
    assert len(there) == len(found["a"])
    assert {n for n, done in told.items() if done} <= there
    assert not {n for n, done in told.items() if done is False} & there
    here.model = dict.fromkeys(there, True)
    here.check()
    return sum(bool(d) for d in told.values()), sum(not d for d in told.values())


def main(rounds: int = 1) -> None:
    """The whole matrix: every point of every order of two and three databases, both servers killed in between, or a participant away."""
    count = 0
    orders = [names for size in (2, 3) for names in itertools.permutations(NAMES, size)]
    with ground() as here:
        done, undone = storm(here, seconds=60 * rounds)
        sys.stdout.write(f"storm of {60 * rounds} s: {done} committed, {undone} failed, each everywhere or nowhere\n")
        for _ in range(rounds):
            for names, harmed in itertools.product(orders, ("", "one", "two", "away")):
                here.clear()
                for at in points(names):
                    here.run(at, names)
                    if harmed in ("one", "two"):
                        number = signal.SIGKILL if count % 2 else signal.SIGQUIT
                        harm.kill(getattr(here, harmed), number, {**harm.SETTINGS, **SETTINGS})
                    here.settled()
                    if harmed == "away":
                        here.recover(b="host=127.0.0.1 port=1 dbname=b")
                    here.recover()
                    here.check(names)
                    count += 1
                sys.stdout.write(f"{count} transactions killed, {''.join(names)} {harmed or 'alone'}: all or nothing, nothing prepared\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
