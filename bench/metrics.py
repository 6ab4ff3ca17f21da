"""A scrape of many tables beside postgres_exporter: processor time of the server, time until the answer, series.

`python -m bench.metrics [tables] [scrapes]`. PGCHARTER_POSTGRES_EXPORTER names the peer's program; it is given the two queries over
tables of its own example file, which make the same series that ours have of each table. Both look at the same server in turn. Time of the
server is what its backends have used, from /proc, so only Linux can tell. `cold`: nothing is kept. `steady`: a scrape every 15 s, as
Prometheus does, where ours asks for tables once a minute; of four such scrapes one asks, so its share is counted.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pgcharter.servers import binaries, lifecycle
from pgcharter.watch import metrics_http, registry
from pgcharter.watch.collecting import Target
from pgcharter.watch.metrics_asking import Exporter, needed

TABLES, SCRAPES, EVERY = 5_000, 8, 15.0
USED = "seq_scan seq_tup_read idx_scan idx_tup_fetch n_tup_ins n_tup_upd n_tup_del n_tup_hot_upd n_live_tup n_dead_tup vacuums analyzes"
BLOCKS = "heap_blks_read heap_blks_hit idx_blks_read idx_blks_hit"
SUMS = {"vacuums": "vacuum_count + autovacuum_count AS vacuums", "analyzes": "analyze_count + autoanalyze_count AS analyzes"}


def _queries() -> str:
    """The peer's queries over tables, as its example file has them."""
    parts = []
    for view, columns in (("pg_stat_user_tables", USED), ("pg_statio_user_tables", BLOCKS)):
        names = columns.split()
        chosen = ", ".join(SUMS.get(name, name) for name in names)
        parts += [f"{view}:", f'  query: "SELECT current_database() datname, schemaname, relname, {chosen} FROM {view}"', "  metrics:"]
        parts += [f'    - {name}: {{usage: "LABEL", description: "x"}}' for name in ("datname", "schemaname", "relname")]
        parts += [f'    - {name}: {{usage: "COUNTER", description: "x"}}' for name in names]
    return "\n".join(parts) + "\n"


def run(tables: int = TABLES, scrapes: int = SCRAPES) -> None:
    """Measure both and print a table."""
    with lifecycle.start_ephemeral(binaries.choose(None), settings={"autovacuum": False}) as server:
        _fill(server.dsn(), tables)
        rows = {"pgcharter, cold": _measured(server, _cold(server.dsn()), scrapes)}
        clock = _Clock()
        with _ours(server.dsn(), clock) as scrape:

            def steady() -> int:
                clock.now += EVERY
                return scrape()

            for _ in range(5):  # the first ones plan
                steady()
            rows["pgcharter, steady"] = _measured(server, steady, 4 * scrapes)
        program = os.environ.get("PGCHARTER_POSTGRES_EXPORTER")
        if program:
            with _theirs(program, _peer(server)) as scrape:
                scrape()
                rows["postgres_exporter"] = _measured(server, scrape, scrapes)
        else:
            print("postgres_exporter is not here (PGCHARTER_POSTGRES_EXPORTER), so it is left out")
        _report(tables, rows)


def _fill(dsn: str, tables: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for first in range(0, tables, 500):
            conn.execute(
                f"DO $$BEGIN FOR i IN {first} .. {min(first + 500, tables) - 1} LOOP"
                " EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, at timestamptz, note text)', i);"
                " EXECUTE format('CREATE INDEX ON t%s (at)', i); EXECUTE format('INSERT INTO t%s VALUES (1, now(), %L)', i, 'x');"
                " END LOOP; END$$".encode()
            )
        conn.execute("ANALYZE")


def _peer(server: lifecycle.Server) -> str:
    """A connection string for the peer, whose driver refuses the quick passwords of our throwaway servers."""
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("SET scram_iterations = 4096")
        conn.execute("CREATE ROLE peer SUPERUSER LOGIN PASSWORD 'peer'")
    return server.dsn(user="peer", password="peer")


class _Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def _ours(dsn: str, clock: Callable[[], float]) -> Iterator[Callable[[], int]]:
    known = registry.load()
    checks = tuple(known.checks.values())
    with Exporter(Target(dsn), needed(checks, known), checks, clock=clock) as made:
        yield lambda: _series(metrics_http.text(made))


def _cold(dsn: str) -> Callable[[], int]:
    def scrape() -> int:
        with _ours(dsn, time.monotonic) as one:
            return one()

    return scrape


def _series(text: str) -> int:
    return sum(1 for line in text.splitlines() if line and not line.startswith("#"))


@contextmanager
def _theirs(program: str, dsn: str) -> Iterator[Callable[[], int]]:
    with socket.socket() as free, tempfile.NamedTemporaryFile("w", suffix=".yml") as queries:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        queries.write(_queries())
        queries.flush()
        env = {**os.environ, "DATA_SOURCE_NAME": f"{dsn}&sslmode=disable"}
        words = [program, f"--web.listen-address=127.0.0.1:{port}", f"--extend.query-path={queries.name}", "--log.level=error"]
        with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

            def scrape() -> int:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
                    return _series(answer.read().decode())

            try:
                for _ in range(100):
                    try:
                        scrape()
                        break
                    except OSError:
                        time.sleep(0.1)
                yield scrape
            finally:
                process.terminate()


def _measured(server: lifecycle.Server, scrape: Callable[[], int], times: int) -> tuple[float, float, int]:
    """Milliseconds of the server's processor and until the answer, for one scrape; and series."""
    waits, series, before = [], 0, _used(server)
    for _ in range(times):
        began = time.perf_counter()
        series = scrape()
        waits.append((time.perf_counter() - began) * 1000)
    time.sleep(0.2)
    return (_used(server) - before) * 1000 / times, statistics.median(waits), series


def _used(server: lifecycle.Server) -> float:
    """Seconds of processor that the server's processes have used, those that have ended too."""
    assert server.process
    main = server.process.pid
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields: list[Any] = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid, parent = int(path.parent.name), int(fields[1])
        if pid == main:
            total += sum(map(int, fields[11:15]))
        elif parent == main:
            total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def _report(tables: int, rows: dict[str, tuple[float, float, int]]) -> None:
    print(f"{tables:,} tables; for one scrape\n")
    theirs = rows.get("postgres_exporter")
    for name, (used, wait, series) in rows.items():
        ratio = f"  {theirs[0] / used:5.1f} x less server time" if theirs and name != "postgres_exporter" and used else ""
        print(f"{name:<20} server {used:8.1f} ms  answer {wait:8.0f} ms  {series:>8,} series{ratio}")


if __name__ == "__main__":
    run(*map(int, sys.argv[1:3]))
