"""Restores to random seconds under load, row-exact: `python -m tests.operate.pitr --times 20 [--major 18] [--seed 1] [--engine native]`.

Each client writes numbered transactions of several rows in several tables; PostgreSQL itself says when each was committed
(`track_commit_timestamp`). A copy restored to a time must hold exactly those that were committed until then, whole, and no other.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
from tests.operate.backups import Ground, empty, ground

from pgcharter.operate import drill_server, restore
from pgcharter.operate.backup_model import Until

TABLES = (
    "CREATE TABLE done (client int, number int, PRIMARY KEY (client, number))",
    "CREATE TABLE balance (client int PRIMARY KEY, value bigint NOT NULL)",
    "CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int, number int, note text)",
)
_SUMS = """
SELECT d.client, count(*), max(d.number), (SELECT value FROM balance b WHERE b.client = d.client),
       (SELECT count(*) FROM entry e WHERE e.client = d.client), (SELECT coalesce(max(e.number), 0) FROM entry e WHERE e.client = d.client)
  FROM done d GROUP BY d.client ORDER BY d.client
"""


def write(place: Ground, client: int, stop: threading.Event) -> None:
    """Numbered transactions until told to stop."""
    chance = random.Random(client)
    with psycopg.connect(place.server.dsn()) as conn:
        conn.execute("INSERT INTO balance VALUES (%s, 0)", [client])
        conn.commit()
        number = 0
        while not stop.wait(0.003):
            number += 1
            conn.execute("UPDATE balance SET value = value + %s WHERE client = %s", [number, client])
            conn.execute("INSERT INTO entry (client, number, note) SELECT %s, %s, repeat('x', %s) FROM generate_series(1, 3)",
                         [client, number, chance.randrange(300)])  # fmt: skip
            conn.execute("INSERT INTO done VALUES (%s, %s)", [client, number])
            if chance.random() < 0.1:  # what is rolled back must not come back
                conn.rollback()
                number -= 1
            else:
                conn.commit()


@contextmanager
def load(place: Ground, clients: int) -> Iterator[None]:
    """Clients at work."""
    stop = threading.Event()
    threads = [threading.Thread(target=write, args=(place, n, stop)) for n in range(1, clients + 1)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def prepared(place: Ground, clients: int, seconds: float) -> list[tuple[datetime, int, int]]:
    """Work under load with backups in between; returns time, client and number of each commit, as PostgreSQL has them."""
    place.run(*TABLES)
    with load(place, clients):
        time.sleep(seconds / 4)
        place.engine.take("full")
        time.sleep(seconds / 4)
        if place.server.major >= 17 or place.engine.name == "pgbackrest":
            place.engine.take("incremental")
        time.sleep(seconds / 4)
        place.engine.take("full")
        time.sleep(seconds / 4)
    place.switch()
    return [(a, int(c), int(n)) for a, c, n in place.run("SELECT pg_xact_commit_timestamp(xmin), client, number FROM done ORDER BY 1")]  # type: ignore[misc, call-overload]


def expected(commits: Sequence[tuple[datetime, int, int]], at: datetime, clients: int) -> list[tuple[int, int, int, int, int, int]]:
    """What `_SUMS` must say of a copy of that time."""
    found = []
    for client in range(1, clients + 1):
        number = max((n for a, c, n in commits if c == client and a <= at), default=0)
        if number:
            found.append((client, number, number, number * (number + 1) // 2, 3 * number, number))
    return found


def one(place: Ground, at: datetime, folder: str) -> list[tuple[int, ...]]:
    """What a copy restored to a time says."""
    until = Until(time=at)
    plan = restore.plan(place.engine, until, empty(place, folder))
    done = place.engine.restore(plan.goal.backup, until, plan.folder)
    conf = plan.folder.with_name(f"{folder}.conf")
    with drill_server.started(done, conf, place.server.account, done.settings) as copy, copy.connect("postgres") as conn:
        rows = [tuple(int(v) for v in r) for r in conn.execute(_SUMS).fetchall()]
    for path in (plan.folder, conf, *done.work):
        shutil.rmtree(path)
    return rows


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(times: int, major: int | None, seed: int, clients: int, seconds: float = 8.0, engine: str = "native") -> int:
    """How many of the restores were not exact."""
    wrong = 0
    chance = random.Random(seed)
    with ground(major, settings={"track_commit_timestamp": True, "shared_buffers": "64MB"}, engine=engine) as place:
        commits = prepared(place, clients, seconds)
        first = place.engine.backups()[0].ended
        last = commits[-1][0] - timedelta(microseconds=1)
        say(f"PostgreSQL {place.server.installation.release}: {len(commits)} commits of {clients} clients, seed {seed}")
        for number in range(times):
            at = first + timedelta(seconds=chance.random() * (last - first).total_seconds())
            found, wanted = one(place, at, f"copy{number}"), expected(commits, at, clients)
            wrong += found != wanted
            total = sum(w[1] for w in wanted)
            say(
                f"  {at:%H:%M:%S.%f}  {total:6} transactions  {'exact' if found == wanted else f'WRONG: {found} instead of {wanted}'}",
            )
    say(f"{times - wrong} of {times} exact")
    return wrong


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--times", type=int, default=20)
    arguments.add_argument("--major", type=int)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--clients", type=int, default=4)
    arguments.add_argument("--engine", choices=("native", "pgbackrest"), default="native")
    given = arguments.parse_args()
    major = given.major or (15 if given.engine == "pgbackrest" else None)
    sys.exit(1 if run(given.times, major, given.seed, given.clients, engine=given.engine) else 0)
