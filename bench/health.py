"""`pgcharter health` on a database of 5,000 tables: the whole program and its queries, beside check_postgres doing a part of it."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from bench.generate import TABLES, generate

ROUNDS = 5
LIMIT_SECONDS = 1.0
PEER = ("autovac_freeze", "backends", "connection", "disabled_triggers", "last_analyze", "last_vacuum", "locks", "prepared_txns",
        "sequence", "txn_wraparound", "wal_files")  # fmt: skip
"""Actions of check_postgres that look at what checks of ours look at too."""


def run(tables: int = TABLES) -> None:
    """Print seconds of both, and how many queries ours takes on a small and on the large database."""
    from pgcharter.servers import binaries, lifecycle
    from pgcharter.watch import registry

    print(f"{len(registry.load().checks)} checks; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {ROUNDS}")
    settings: dict[str, lifecycle.Setting] = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "top"}
    with lifecycle.start_ephemeral(binaries.choose(None), settings=settings) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as conn:
            conn.execute("CREATE DATABASE large")
            conn.execute("CREATE EXTENSION pg_stat_statements")
        few = _queries(server.dsn())
        generate(server.dsn("large"), tables)
        with psycopg.connect(server.dsn("large"), autocommit=True) as conn:
            conn.execute("ANALYZE")
        many = _queries(server.dsn())
        ours = [_timed(_health(server.dsn())) for _ in range(ROUNDS)]
        asked = [_asked(server.dsn()) for _ in range(ROUNDS)]
        peer = _peer(server)
        theirs = [sum(_timed(command) for command in peer) for _ in range(ROUNDS if peer else 0)]
    print(f"{'':34}{'seconds':>9}")
    print(
        f"{f'pgcharter health, {tables:,} tables':34}{statistics.median(ours):>9.2f}   aim: ≤ {LIMIT_SECONDS:g} s, program start included"
    )
    print(f"{'  of that on the server':34}{statistics.median(asked):>9.2f}")
    print(f"  {many} queries, {few} on an empty database   aim: the same")
    if theirs:
        print(f"{f'check_postgres, {len(peer)} actions':34}{statistics.median(theirs):>9.2f}")
        print(f"{'ratio':34}{statistics.median(theirs) / statistics.median(ours):>9.1f}")
    else:
        print("check_postgres is not here: PGCHARTER_POSTGRES_EXPORTER names a program that it lies beside")


def _health(dsn: str) -> list[str]:
    return [sys.executable, "-m", "pgcharter", "health", "--on", dsn, "--no-state", "--format", "json"]


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    return time.perf_counter() - start


def _asked(dsn: str) -> float:
    """Seconds that the collectors took, in this process."""
    from pgcharter.watch import health, registry
    from pgcharter.watch.collecting import Target, Watcher
    from pgcharter.watch.judging import Past

    with Watcher(Target(dsn)) as watcher:
        return health.look(watcher, registry.load().checks.values(), Past(), health.utc_now())[0].seconds


def _queries(dsn: str) -> int:
    """Statements that one look takes."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_stat_statements_reset()")
        _asked(dsn)
        [[count]] = conn.execute("SELECT sum(calls) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'").fetchall()
        return int(count)


def _peer(server: object) -> list[list[str]]:
    from pgcharter.servers.lifecycle import Server

    assert isinstance(server, Server)
    exporter = os.environ.get("PGCHARTER_POSTGRES_EXPORTER", "")
    beside = Path(exporter).parent / "check_postgres" if exporter else Path("-")
    program = next((str(p) for p in (beside, beside.with_suffix(".pl")) if p.exists()), None) or shutil.which("check_postgres")
    psql = server.installation.program("psql")
    if program is None or not psql.exists():
        return []
    passwords = Path(tempfile.mkdtemp()) / "pgpass"
    passwords.write_text(f"*:*:*:*:{server.login.password}\n")
    passwords.chmod(0o600)
    os.environ |= {"PGPASSFILE": str(passwords), "PATH": f"{psql.parent}{os.pathsep}{os.environ['PATH']}"}
    base = [program, "-H", str(server.socket_dir), "-p", str(server.port), "-u", server.login.user, "-db", "large"]
    commands = [[*base, f"--action={action}"] for action in PEER]
    for command in commands:
        said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120).stdout
        if not said.startswith("POSTGRES_"):
            print(f"check_postgres {command[-1]} does not work here and is left out: {said.strip()}")
            commands = [c for c in commands if c is not command]
    return commands


if __name__ == "__main__":
    run()
