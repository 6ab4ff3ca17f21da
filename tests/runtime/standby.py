"""Real standbys of a real server: a base backup that follows it by streaming, in a private folder that goes with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg

from pgcharter.servers import account, folders, lifecycle
from pgcharter.servers.lifecycle import EPHEMERAL, Server, Setting

PRIMARY: Mapping[str, Setting] = {
    "wal_level": "replica",
    "synchronous_commit": True,
    "max_wal_senders": 10,
    "hot_standby": True,
    "autovacuum": False,
}


@contextmanager
def standby_of(primary: Server, settings: Mapping[str, Setting] | None = None) -> Iterator[Server]:
    """A hot standby of `primary`, streaming; `settings` for instance recovery_min_apply_delay."""
    who = account.current()
    folder = folders.private(who)
    lock = folders.hold(folder)
    data = folder / "data"
    standby = Server(primary.installation, data, 5432, who.make_folder(folder / "s"), primary.login, who, folder=folder, lock=lock)
    try:
        backup = [primary.installation.program("pg_basebackup"), "-D", data, "-d", primary.dsn(), "-X", "stream", "-c", "fast", "-R", "-N"]
        done = who.run(backup, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr)
        quick: dict[str, Setting] = {"wal_retrieve_retry_interval": "100ms", "max_standby_streaming_delay": "30s"}
        lifecycle.launch(standby, {**EPHEMERAL, **quick, "listen_addresses": "", **(settings or {})})
        standby.watchdog = lifecycle.watch(standby)
        yield standby
    finally:
        standby.stop()


def kill(server: Server) -> None:
    """End a server without a word to anybody, as a power cut does."""
    assert server.process
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(10)


def promote(standby: Server) -> None:
    """Make a standby the primary; returns when it is."""
    with psycopg.connect(standby.dsn(), autocommit=True) as conn:
        conn.execute("SELECT pg_promote()")


def caught_up(primary: Server, standby: Server, seconds: float = 10.0) -> None:
    """Return when the standby has replayed what the primary has on disk."""
    until = time.monotonic() + seconds
    with psycopg.connect(primary.dsn(), autocommit=True) as a, psycopg.connect(standby.dsn(), autocommit=True) as b:
        while time.monotonic() < until:
            there = a.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            here = b.execute("SELECT pg_last_wal_replay_lsn() >= %s", there).fetchone()
            if here == (True,):
                return
            time.sleep(0.005)
    raise AssertionError("the standby does not catch up")
