"""What goes wrong from outside, on real servers: it is said with what, where, cause and remedy; other sinks go on; nothing is lost."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from tests.sinks import servers
from tests.stream.copying import own_tables, wait

from pgcharter.errors import PgcharterError
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection
from pgcharter.sinks.declared import streamed
from pgcharter.stream import beginning, source, standing
from pgcharter.stream.worker import Worker

SCHEMA = """
CREATE TABLE a (id int PRIMARY KEY, v text, n int); CREATE TABLE b (id int PRIMARY KEY, v text);
INSERT INTO a SELECT i, 'a', i FROM generate_series(1, 50) i; INSERT INTO b SELECT i, 'b' FROM generate_series(1, 5) i;
"""


class Ground:
    """A source with copies in PostgreSQL and Redis, and in files, which are never harmed."""

    def __init__(self, dsn: str, folder: Path, store: servers.Store) -> None:
        self.dsn, self.store, self.said = dsn, store, list[str]()
        self.slot = f"bad_{psycopg.conninfo.conninfo_to_dict(dsn)['dbname']}"
        self.copy = psycopg.conninfo.make_conninfo(dsn, dbname=f"{self.slot}_copy")
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(SCHEMA.encode())
            conn.execute(f"CREATE DATABASE {self.slot}_copy".encode())
            conn.execute("CREATE PUBLICATION p FOR TABLE a, b WITH (publish_via_partition_root)")
        own_tables(dsn)
        section = SyncSection(
            publication="p", slot=self.slot, heartbeat="300ms",
            sink=(SinkTable("pg", "postgresql", "COPY"), SinkTable("redis", "redis", "REDIS"), SinkTable("files", "jsonl", folder="f")),
            mapping=(
                MappingTable("pg", "public.a", columns=("id", "n")), MappingTable("redis", "public.a"), MappingTable("files", "public.b"),
            ),
        )  # fmt: skip
        job, self.make = streamed(section, dsn, folder, {"COPY": self.copy, "REDIS": store.url})
        self.job = replace(job, patience=0.3, replay=0.0)
        self.folder = folder

    def run(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql.encode())

    def there(self, sql: str) -> list[Any]:
        with psycopg.connect(self.copy, autocommit=True) as conn:
            done = conn.execute(sql.encode())
            return done.fetchall() if done.description else []

    def redis(self) -> redis.Redis:
        return redis.Redis(port=self.store.port, decode_responses=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        made = Worker(self.job, self.make, self.said.append)
        thread = threading.Thread(target=self._run, args=(made,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            made.stop()
            thread.join(30)

    def _run(self, made: Worker) -> None:
        try:
            made.run()
        except PgcharterError as error:
            self.said.append(f"{error.message}: {error.hint}")

    def problems(self) -> str:
        with source.open_source(self.dsn) as conn:
            return "\n".join([*standing.look(conn, self.job, 10 << 30).problems, *self.said])

    def says(self, pattern: str) -> None:
        try:
            wait(lambda: re.search(pattern, self.problems()), 15)
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not said: {self.problems()}") from None

    def files_go_on(self) -> None:
        mark = f"mark {time.monotonic()}"
        self.run(f"UPDATE b SET v = '{mark}' WHERE id = 1")
        wait(lambda: any(mark in f.read_text() for f in (self.folder / "f" / "b").glob("*.jsonl")), 15)

    def right(self) -> None:
        """All copies have it all."""
        with psycopg.connect(self.dsn) as conn:
            rows = conn.execute("SELECT id, n FROM a ORDER BY id").fetchall()
        wait(lambda: self._quietly(lambda: self.there("SELECT id, n FROM a ORDER BY id")) == rows, 25)
        wait(lambda: self._in_redis() == {str(i): str(n) for i, n in rows}, 25)

    def _quietly(self, ask: Callable[[], Any]) -> Any:
        with suppress(psycopg.Error):
            return ask()
        return None

    def _in_redis(self) -> dict[str, str]:
        with self.redis() as client:
            names: Any = client.scan_iter(match="a:*")
            rows: list[Any] = [client.hgetall(n) for n in names]
            return {r["id"]: r["n"] for r in rows if r}

    def drop(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", [self.slot])
            conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [self.slot])
            conn.execute(f"DROP DATABASE {self.slot}_copy WITH (FORCE)".encode())


@dataclass(frozen=True)
class Case:
    """What is done, what is said then, and what puts it right."""

    name: str
    harm: Callable[[Ground], Any]
    says: str
    mend: Callable[[Ground], Any] = field(default=lambda _: None)
    ends: bool = False
    """Whether the worker ends, since a person must decide."""


TRIGGER = """
CREATE FUNCTION objects() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{}' USING ERRCODE = '{}'; END $$;
CREATE TRIGGER objects BEFORE INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION objects()
"""


def full_redis(g: Ground) -> None:
    with g.redis() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")


def free_redis(g: Ground) -> None:
    with g.redis() as client:
        client.config_set("maxmemory", "0")


def misfit(g: Ground) -> None:
    with g.redis() as client:
        client.delete("a:7")
        client.rpush("a:7", "mine")


def free_key(g: Ground) -> None:
    with g.redis() as client:
        client.delete("a:7")


def reset(g: Ground, *sinks: str) -> None:
    with source.open_source(g.dsn) as conn:
        for sink in sinks:
            beginning.reset(conn, g.job, g.make(sink))


MISSING = (
    r"sink pg is refused: column n, which the mapping names, is not \(or no longer\) in public\.a \(it has .*pgcharter sync reset pg\)"
)
CASES = (
    Case(
        "a column of another type in the store",
        lambda g: g.there("ALTER TABLE a ALTER n TYPE date USING NULL"),
        r"sink pg is refused: .*\bn\b.*date.*integer",
        lambda g: g.there("ALTER TABLE a ALTER n TYPE int USING NULL; UPDATE a SET n = NULL"),
    ),
    Case(
        "a store's disk is full",
        lambda g: g.there(TRIGGER.format("could not extend file: No space left on device", "53100")),
        r"sink pg is down: .*No space left on device",
        lambda g: g.there("DROP TRIGGER objects ON a"),
    ),
    Case(
        "a trigger of the store objects",
        lambda g: g.there(TRIGGER.format("not on my table", "P0001")),
        r"sink pg is refused: sink pg refuses what is written: not on my table \(PL/pgSQL function objects",
        lambda g: g.there("DROP TRIGGER objects ON a"),
    ),
    Case(
        "Redis has no room",
        full_redis,
        r"sink redis is down: Redis is full \(maxmemory is reached and maxmemory-policy evicts nothing\).*CONFIG SET maxmemory",
        free_redis,
    ),
    Case(
        "something else stands where a row goes",
        misfit,
        r"sink redis is refused: the key a:7 is a list that no copy has made.*remove the key, or set options\.prefix of the sink",
        free_key,
    ),
    Case(
        "a mapped column is dropped",
        lambda g: g.run("ALTER TABLE a DROP COLUMN n"),
        MISSING,
        lambda g: (g.run("ALTER TABLE a ADD COLUMN n int"), reset(g, "pg")),
    ),
    Case(
        "a mapped column gives way to another",
        lambda g: g.run("ALTER TABLE a DROP COLUMN n; ALTER TABLE a ADD COLUMN m int DEFAULT 7"),
        MISSING,
        lambda g: (g.run("ALTER TABLE a DROP COLUMN m; ALTER TABLE a ADD COLUMN n int"), reset(g, "pg")),
    ),
    Case(
        "a table is taken out of the publication",
        lambda g: g.run("ALTER PUBLICATION p DROP TABLE a"),
        r"publication p was changed: public\.a is not in it, so changes there are not copied: pgcharter policy apply(?s:.*)"
        r"public\.a was taken out of publication p: what is changed there is not copied, until it is back",
        lambda g: g.run("ALTER PUBLICATION p ADD TABLE a"),
    ),
    Case(
        "the publication sends some columns only",
        lambda g: g.run("ALTER PUBLICATION p SET TABLE a (id, n), b"),
        r"publication p was changed: it sends public\.a without v, so copies would go wrong: pgcharter policy apply(?s:.*)"
        r"public\.a is not whole any more in publication p",
        lambda g: g.run("ALTER PUBLICATION p SET TABLE a, b"),
    ),
    Case(
        "the publication sends some rows only",
        lambda g: g.run("ALTER PUBLICATION p SET TABLE a WHERE (id < 10), b"),
        r"publication p was changed: it sends only rows with \(id < 10\) of public\.a, so copies would go wrong(?s:.*)"
        r"public\.a is not whole any more in publication p",
        lambda g: g.run("ALTER PUBLICATION p SET TABLE a, b"),
    ),
    Case(
        "the slot is dropped",
        lambda g: g.run(
            f"SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = '{g.slot}';"
            f" SELECT pg_drop_replication_slot('{g.slot}')"
        ),
        r"there is no replication slot bad_\w+, so nothing (says where the copies go on|is copied): .*pgcharter sync init",
        ends=True,
    ),
)


@pytest.fixture(scope="module")
def store() -> Iterator[servers.Store]:
    with servers.running("redis-server") as made:
        yield made


@pytest.fixture
def ground(database: str, tmp_path: Path, store: servers.Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    for name in ("LONGEST", "REFUSED"):
        monkeypatch.setattr(f"pgcharter.stream.lane.{name}", 0.5)
    with redis.Redis(port=store.port) as client:
        client.config_set("maxmemory", "0")
        client.flushall()
    made = Ground(database, tmp_path, store)
    yield made
    made.drop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_said_and_the_rest_goes_on(ground: Ground, case: Case) -> None:
    beginning.begin(ground.job, ground.make)
    with ground.running():
        wait(lambda: ground.said)
        case.harm(ground)
        ground.run("UPDATE a SET v = v || 'x' WHERE id < 30; DELETE FROM a WHERE id = 40")
        if case.ends:
            ground.says(case.says)
            return
        ground.files_go_on()
        ground.says(case.says)
        case.mend(ground)
        ground.run("UPDATE a SET n = id")
        ground.right()
