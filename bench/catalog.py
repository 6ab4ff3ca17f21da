"""Reading a live catalog of 5,000 tables, 50,000 columns and 15,000 indexes, beside SQLAlchemy's full reflection."""

from __future__ import annotations

import subprocess
import sys

from bench.generate import COLUMNS, INDEXES, TABLES, generate

ROUNDS = 3
LIMIT_SECONDS, LIMIT_RATIO, LIMIT_MB = 2.5, 3.5, 250

_MEASURE = """
import resource, sys, time
dsn = sys.argv[1]
{prepare}
start = time.perf_counter()
{work}
seconds = time.perf_counter() - start
assert tables == int(sys.argv[2]), tables
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

OURS = _MEASURE.format(
    prepare="from pgcharter.db import connect\nfrom pgcharter.sources import live",
    work="catalog = live.read_catalog(connect(dsn))\ntables = len(catalog.tables)",
)
THEIRS = _MEASURE.format(
    prepare="import psycopg, sqlalchemy\nfrom sqlalchemy import MetaData, create_engine, inspect",
    work="""engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
metadata = MetaData()
with engine.connect() as conn:
    for schema in inspect(conn).get_schema_names():
        if schema != "information_schema":
            metadata.reflect(conn, schema=schema)
tables = len(metadata.tables)""",
)


def run(tables: int = TABLES) -> None:
    """Generate the database on a throwaway server, read it both ways, print times, memory and ratio."""
    from pgcharter.servers import binaries, lifecycle

    with lifecycle.start_ephemeral(binaries.choose(None)) as server:
        dsn = server.dsn()
        generate(dsn, tables)
        print(f"PostgreSQL {server.major}: {tables:,} tables, {tables * COLUMNS:,} columns, {tables * INDEXES:,} indexes; best of {ROUNDS}")
        rounds = [(_measure(OURS, dsn, tables), _measure(THEIRS, dsn, tables)) for _ in range(ROUNDS)]
    ours, theirs = zip(*rounds, strict=True)
    (our_time, our_size), (their_time, their_size) = min(ours), min(theirs)
    ratio = their_time / our_time
    print(f"{'':24}{'seconds':>10}{'MB':>8}")
    print(f"{'pgcharter read_catalog':24}{our_time:>10.2f}{our_size:>8.0f}   aim: ≤ {LIMIT_SECONDS} s, ≤ {LIMIT_MB} MB")
    print(f"{'SQLAlchemy reflect':24}{their_time:>10.2f}{their_size:>8.0f}")
    print(f"{'ratio':24}{ratio:>10.1f}{'':8}   aim: ≥ {LIMIT_RATIO}")


def _measure(script: str, dsn: str, tables: int) -> tuple[float, float]:
    command = [sys.executable, "-c", script, dsn, str(tables)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, timeout=300)
    if done.returncode:
        raise SystemExit("the measurement failed; its own words stand above")
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes
