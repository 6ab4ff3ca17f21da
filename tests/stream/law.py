"""Random histories of copying: `python -m tests.stream.law N [seed]` runs N of them and prints the first that ends wrong, made as short as
it gets.

A history changes tables and their columns while a worker (a process) copies them to PostgreSQL, Redis and JSON lines; the worker is killed,
stores and the source are restarted, set back, emptied, sinks are paused, reset, compared and repaired. Whatever happens: in the end every
copy is its source. A sink may be lost only where its store has lost something, and a reset brings it back.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import redis
from tests.sinks import servers
from tests.stream.copying import own_tables
from tests.stream.crash import ground, restart

from pgcharter.errors import PgcharterError
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection
from pgcharter.servers.lifecycle import Server
from pgcharter.sinks.declared import copies as declared_copies
from pgcharter.sinks.declared import streamed
from pgcharter.stream import beginning, lane, source, worker
from pgcharter.stream.checkpoints import Checkpoints
from pgcharter.stream.reconcile_model import Options
from pgcharter.stream.reconcile_rounds import compare

Step = tuple[Any, ...]
SINKS = ("pg", "redis", "files")
TABLES = ("public.t", "public.w")
SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, v text, n int); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
CREATE TABLE w (a int, b text, c numeric(12,2), PRIMARY KEY (b, a)); ALTER TABLE w REPLICA IDENTITY FULL;
INSERT INTO t SELECT i, repeat('v', 2100), 0 FROM generate_series(1, 180) i;
INSERT INTO w SELECT i, 'ü:%' || i % 3, i / 4.0 FROM generate_series(1, 120) i;
"""
DDL = (
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS x int",
    "ALTER TABLE t DROP COLUMN IF EXISTS x",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS y text DEFAULT 'd'; UPDATE t SET n = n",
    "ALTER TABLE t DROP COLUMN IF EXISTS y",
    "ALTER TABLE t ALTER n TYPE bigint",
    "ALTER TABLE w REPLICA IDENTITY DEFAULT",
    "ALTER TABLE w REPLICA IDENTITY FULL",
)
DML = (
    "INSERT INTO t (id, v, n) VALUES ({i}, repeat('{i}', {size}), {j}) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
    "UPDATE t SET n = n + 1 WHERE id BETWEEN {i} AND {j}",
    "UPDATE t SET id = {j} WHERE id = {i} AND NOT EXISTS (SELECT FROM t WHERE id = {j})",
    "DELETE FROM t WHERE id = {i}",
    "DELETE FROM w WHERE a BETWEEN {i} AND {j}",
    "INSERT INTO w VALUES ({i}, 'n', NULL) ON CONFLICT DO NOTHING",
    "UPDATE w SET b = b || 'x', c = {j} WHERE a = {i}",
    "INSERT INTO w SELECT i, 'many', 1 FROM generate_series(1000, 1000 + {j}) i ON CONFLICT (b, a) DO UPDATE SET c = {i}",
    "TRUNCATE w",
)


def history(dice: random.Random) -> list[Step]:
    """A history: one line of it, each a step."""
    steps: list[Step] = [("init", dice.choice(("now", "later")))]
    return steps + [_step(dice) for _ in range(dice.randint(6, 22))]


def _step(dice: random.Random) -> Step:
    sink = dice.choice(SINKS)
    kind = dice.choices(
        ("dml", "ddl", "kill", "stop", "server", "pg down", "redis", "pause", "resume", "reset", "reconcile", "wait"),
        (40, 8, 6, 3, 2, 3, 9, 4, 5, 7, 5, 8),
    )[0]
    more: dict[str, tuple[Any, ...]] = {
        "dml": (dice.randrange(1 << 30),),
        "ddl": (dice.choice(DDL),),
        "redis": (dice.choice(("save", "save", "restart", "back", "back", "flush")),),
        "pause": (sink,),
        "resume": (sink,),
        "reset": (sink, dice.choice((*TABLES, None))),
        "reconcile": (sink,),
        "wait": (round(dice.random() * 1.2, 2),),
    }
    return kind, *more.get(kind, ())


@dataclass
class Ground:
    """Servers that histories share, one after another."""

    server: Server
    redis: servers.Store
    number: int = 0


@contextmanager
def grounds() -> Iterator[Ground]:
    with ExitStack() as stack:
        yield Ground(stack.enter_context(ground()), stack.enter_context(servers.running("redis-server")))


class WrongError(Exception):
    """A history that ended wrong."""


class Run:
    """One history on its way."""

    def __init__(self, at: Ground, folder: Path) -> None:
        at.number += 1
        self.at, self.folder, self.name = at, folder, f"law_{at.number}"
        with psycopg.connect(at.server.dsn(), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {self.name}".encode())
            conn.execute(f"CREATE DATABASE {self.name}_copy".encode())
        self.dsn, self.copy = at.server.dsn(self.name), at.server.dsn(f"{self.name}_copy")
        (at.redis.folder / "dump.rdb").unlink(missing_ok=True)
        with redis.Redis(port=at.redis.port) as client:
            client.flushall()
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(SCHEMA.encode())
            conn.execute("CREATE PUBLICATION p FOR TABLE t, w")
        own_tables(self.dsn)
        self.job, self.make = job(self.dsn, self.copy, at.redis.url, folder, self.name)
        self.worker: subprocess.Popen[bytes] | None = None
        self.harmed = False
        """Whether Redis has lost something."""
        self.said = (folder / "said").open("ab")

    def step(self, what: str, *more: Any) -> None:
        """Do one step; what cannot be done just now is as if it had not been asked."""
        with suppress(PgcharterError, psycopg.Error, redis.RedisError):
            getattr(self, what.replace(" ", "_"))(*more)

    def init(self, when: str) -> None:
        beginning.begin(self.job, self.make, later=when == "later")
        self.start()

    def start(self) -> None:
        words = [self.dsn, self.copy, self.at.redis.url, str(self.folder), self.name]
        self.worker = subprocess.Popen([sys.executable, "-m", "tests.stream.law", "worker", *words], stderr=self.said)

    def dml(self, seed: int) -> None:
        dice = random.Random(seed)
        with psycopg.connect(self.dsn) as conn:
            for _ in range(dice.randint(1, 4)):
                for _ in range(dice.randint(1, 5)):
                    i, j = dice.randint(1, 220), dice.randint(1, 220)
                    conn.execute("SAVEPOINT s")
                    try:
                        conn.execute(dice.choice(DML).format(i=i, j=j, size=dice.choice((1, 900))).encode())
                        conn.execute("ROLLBACK TO s" if dice.random() < 0.1 else "RELEASE s")
                    except psycopg.errors.DatabaseError:
                        conn.execute("ROLLBACK TO s")
                conn.commit() if dice.random() < 0.85 else conn.rollback()

    def ddl(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("SET lock_timeout = '2s'")
            for one in sql.split("; "):
                conn.execute(one.encode())

    def kill(self, how: int = signal.SIGKILL) -> None:
        if self.worker is not None:
            self.worker.send_signal(how)
            self.worker.wait(40)
            self.start()

    def stop(self) -> None:
        self.kill(signal.SIGTERM)

    def server(self) -> None:
        restart(self.at.server)

    def pg_down(self) -> None:
        with psycopg.connect(self.at.server.dsn(), autocommit=True) as conn:
            conn.execute(f"ALTER DATABASE {self.name}_copy ALLOW_CONNECTIONS false".encode())
            conn.execute("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = %s", [f"{self.name}_copy"])
            time.sleep(0.7)
            conn.execute(f"ALTER DATABASE {self.name}_copy ALLOW_CONNECTIONS true".encode())

    def redis(self, how: str) -> None:
        dump = self.at.redis.folder / "dump.rdb"
        with redis.Redis(port=self.at.redis.port) as client:
            if how == "flush":
                self.harmed = True
                client.flushall()
            elif how == "save":
                client.save()
            elif how == "restart":
                client.shutdown(save=True)  # what came between SAVE and an end of its own would be lost
        if how in ("restart", "back"):
            self.harmed |= how == "back"
            self.at.redis.kill()
            assert how == "back" or dump.exists()
            self.at.redis.start()

    def _want(self, sink: str, wanted: str) -> None:
        with source.open_source(self.dsn) as conn:
            checkpoints = Checkpoints(conn, self.job.slot)
            if checkpoints.begin([sink])[sink].state != "lost":
                checkpoints.want(sink, wanted)

    def pause(self, sink: str) -> None:
        self._want(sink, "paused")

    def resume(self, sink: str) -> None:
        self._want(sink, "running")

    def reset(self, sink: str, table: str | None) -> None:
        with source.open_source(self.dsn) as conn:
            beginning.reset(conn, self.job, self.make(sink), [table] if table else [])

    def reconcile(self, sink: str) -> None:
        section, environ = declared(self.copy, self.at.redis.url, self.name)
        for side in declared_copies(section, self.dsn, self.folder, environ, sink):
            compare(side, Options(repair=True, share=1.0, wait=2.0))

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def end(self, seconds: float = 30.0) -> None:
        """Let everything come right. Raises WrongError."""
        for sink in SINKS:
            self._want(sink, "running")
        until, found = time.monotonic() + seconds, ["it was not looked"]
        while found and time.monotonic() < until:
            time.sleep(0.25)
            if self.worker is None or self.worker.poll() is not None:
                raise WrongError(f"the worker ended: {self._heard()}")
            states = self._states()
            for sink, (state, reason) in states.items():
                if state == "lost":
                    if sink != "redis" or not self.harmed:
                        raise WrongError(f"sink {sink} is lost without cause: {reason}")
                    self.reset(sink, None)
            found = [f"{sink}: {one}" for sink in SINKS for one in self.differences(sink)]
        if found:
            raise WrongError("; ".join([*found[:4], f"({len(found)} in all)", str(self._states()), self._heard()]))

    def _states(self) -> dict[str, tuple[str, str]]:
        with source.open_source(self.dsn) as conn:
            return {n: (k.state, k.reason) for n, k in Checkpoints(conn, self.job.slot).sinks().items()}

    def _heard(self) -> str:
        return (self.folder / "said").read_text()[-1500:]

    def differences(self, sink: str) -> list[str]:
        found: list[str] = []
        with source.open_source(self.dsn) as conn:
            going = conn.execute("SELECT count(*) FROM pgcharter.sync_snapshots WHERE state <> 'done' AND sink = %s", [sink]).fetchone()
            if going and going[0]:
                found.append(f"{going[0]} seeds are not done")
            for table in source.tables(conn, "p"):
                names = [c.name for c in table.relation.columns]
                rows = {tuple(r[names.index(k)] for k in table.keys): dict(zip(names, r, strict=True))
                        for piece in source.read(conn, table, None, 1_000_000) for r in piece}  # fmt: skip
                there = getattr(self, f"_in_{sink}")(table.relation.name, names, table.keys)
                found += [f"{table.sql} {_short(k)}: {_short(rows.get(k))} is {_short(there.get(k))}"
                          for k in rows.keys() | there.keys() if rows.get(k) != there.get(k)]  # fmt: skip
        return found

    def _in_pg(self, table: str, names: Sequence[str], keys: Sequence[str]) -> dict[Any, Any]:
        with suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable, PgcharterError):
            with source.open_source(self.copy) as conn:
                there = {n for (n,) in conn.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass", [f"public.{table}"])}
                wanted = ", ".join(f"{n}::text" if n in there else "NULL" for n in names)  # one that was added comes with the next change
                rows = conn.execute(f"SELECT {wanted} FROM public.{table}".encode()).fetchall()
            return {tuple(r[names.index(k)] for k in keys): dict(zip(names, r, strict=True)) for r in rows}
        return {}

    def _in_redis(self, table: str, names: Sequence[str], keys: Sequence[str]) -> dict[Any, Any]:
        with redis.Redis(port=self.at.redis.port, decode_responses=True) as client:
            scan: Any = client.scan_iter(match=f"{table}:*", count=1000)
            rows: list[Any] = [client.hgetall(key) for key in scan]
        return {tuple(r.get(k) for k in keys): {n: r.get(n) for n in names} for r in rows if r}

    def _in_files(self, table: str, names: Sequence[str], keys: Sequence[str]) -> dict[Any, Any]:
        folder = self.folder / "files"
        if not (folder / "manifest.json").exists():
            return {}
        now: dict[Any, Any] = {}
        cleared = (0, 0)
        for file in json.loads((folder / "manifest.json").read_text())["files"]:
            for line in (folder / file["name"]).read_text().split("\n")[:-1]:
                row = json.loads(line)
                if file["name"].split("/")[0] != table:
                    continue
                stamp, op = (row["pgcharter_lsn"], row["pgcharter_ordinal"]), row["pgcharter_op"]
                if op == "clear":
                    cleared = max(cleared, stamp)
                    continue
                key = tuple(_text(row[k]) for k in keys)
                if now.get(key, ((0, 0),))[0] <= stamp:
                    now[key] = stamp, op, {n: _text(row.get(n)) for n in names}
        return {k: row for k, (stamp, op, row) in now.items() if op == "put" and stamp >= cleared}

    def close(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait(20)
        self.said.close()
        with psycopg.connect(self.at.server.dsn(), autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", [self.name])
            conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [self.name])
            for name in (self.name, f"{self.name}_copy"):
                conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _short(value: Any) -> str:
    text = str({k: v if len(str(v)) < 40 else f"{str(v)[:10]}…" for k, v in value.items()} if isinstance(value, dict) else value)
    return text[:200]


def declared(copy: str, at: str, slot: str) -> tuple[SyncSection, dict[str, str]]:
    """What the charter would say, and the environment."""
    section = SyncSection(
        publication="p", slot=slot, heartbeat="1s", replay="5s",
        sink=(SinkTable("pg", "postgresql", "COPY"), SinkTable("redis", "redis", "REDIS"), SinkTable("files", "jsonl", folder="files")),
        mapping=tuple(MappingTable(sink, table, to=table.partition(".")[2]) for sink in SINKS for table in TABLES),
    )  # fmt: skip
    return section, {"COPY": copy, "REDIS": at}


def job(dsn: str, copy: str, at: str, folder: Path, slot: str) -> tuple[worker.Job, Any]:
    section, environ = declared(copy, at, slot)
    made, make = streamed(section, dsn, folder, environ)
    return replace(made, patience=0.3, chunk=40), make


def work(dsn: str, copy: str, at: str, folder: str, slot: str) -> None:
    """Be a worker."""
    lane.LONGEST = lane.REFUSED = worker.LONGEST = lane.PULSE = 1.0
    made = worker.Worker(*job(dsn, copy, at, Path(folder), slot), lambda text: sys.stderr.write(f"{text}\n"))
    signal.signal(signal.SIGTERM, lambda *_: made.stop())
    made.run()


def run(at: Ground, steps: Sequence[Step]) -> str:
    """Run one history; gives back what is wrong in the end, empty when nothing is."""
    folder = Path(tempfile.mkdtemp(prefix="pgcharter-law-"))
    made = Run(at, folder)
    try:
        for step in steps:
            made.step(*step)
        made.end()
    except WrongError as error:
        return str(error)
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def shortest(at: Ground, steps: list[Step], tries: int = 40) -> list[Step]:
    """The same history with steps left out, as long as it ends wrong; `init` stays."""
    size = len(steps) // 2
    while size and tries:
        place = 1
        while place < len(steps) and tries:
            tries -= 1
            less = steps[:place] + steps[place + size :]
            if run(at, less):
                steps = less
            else:
                place += size
        size //= 2
    return steps


def main(count: str, seed: str = "", *_: str) -> int:
    first = int(seed) if seed else random.SystemRandom().randrange(1 << 30)
    began = time.monotonic()
    with grounds() as at:
        for n in range(first, first + int(count)):
            steps = history(random.Random(n))
            why = run(at, steps)
            sys.stdout.write(f"{n}: {len(steps)} steps, {'WRONG' if why else 'right'}, {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()
            if why:
                sys.stdout.write(f"{why}\n" + "".join(f"    {s!r},\n" for s in steps))
                sys.stdout.flush()
                less = shortest(at, steps)
                sys.stdout.write(f"history {n}, {len(less)} steps are enough:\n" + "".join(f"    {s!r},\n" for s in less))
                return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "")
    if sys.argv[1:2] == ["worker"]:
        work(*sys.argv[2:])
    else:
        sys.exit(main(*sys.argv[1:]))
