"""Copies of a test: tables of our own in a fresh database, a job, a worker in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from tests.stream.stores import Store, target

from pgcharter.migrate import planning
from pgcharter.migrate.planning import Wish
from pgcharter.migrate.policies import Chosen
from pgcharter.policy import sync
from pgcharter.policy.sync_settings import MappingTable, SinkTable, SyncSection
from pgcharter.stream import beginning, source
from pgcharter.stream.mapper import Target
from pgcharter.stream.worker import Job, Worker

_statements: dict[tuple[int, str], tuple[str, ...]] = {}


def own_tables(dsn: str, section: SyncSection = SyncSection()) -> None:  # noqa: B008 - it is frozen
    """Make our tables, as the policy plans them."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        key = conn.info.server_version, str(section)
        if key not in _statements:
            planned = planning.make(Wish("", dsn, chosen=Chosen((sync.policy(section),)), prove=False))
            _statements[key] = tuple(s.sql for s in planned.plan.steps)
        for sql in _statements[key]:
            conn.execute(sql.encode())


def triggers(tables: tuple[str, ...], keep: int, role: str = "") -> SyncSection:
    """A charter's section that has changes of tables captured by triggers."""
    mapping = tuple(MappingTable("x", t) for t in tables)
    kept = f"{keep // 1024}kB"
    return SyncSection("triggers", "p", keep=kept, role=role, sink=(SinkTable("x", "jsonl"),), mapping=mapping)


class Copies:
    """A source, its sinks (SQLite files) and their worker."""

    def __init__(
        self, dsn: str, folder: Path, tables: tuple[str, ...], sinks: tuple[str, ...] = ("one",), *, capture: str = "stream",
        keep: int = 1 << 30, role: str = "", **options: Any,
    ) -> None:  # fmt: skip
        with psycopg.connect(dsn, autocommit=True) as conn:
            row = conn.execute("SELECT current_database()").fetchone()
            assert row is not None
            if conn.execute("SELECT FROM pg_publication").fetchone() is None and capture == "stream":
                conn.execute(f"CREATE PUBLICATION p FOR TABLE {', '.join(tables)} WITH (publish_via_partition_root)".encode())
            if capture == "triggers" or conn.execute("SELECT to_regclass('pgcharter.sync_sinks')").fetchone() == (None,):
                own_tables(dsn, triggers(tables, keep, role) if capture == "triggers" else SyncSection())
        self.dsn, self.folder, self.options = dsn, folder, options
        self.job = Job(
            dsn, f"sync_{row[0]}", "p", tables, sinks, folder / "spill", heartbeat=1.0, patience=0.5, chunk=100, capture=capture, keep=keep
        )
        self.said: list[str] = []
        self._thread: threading.Thread | None = None
        self.worker: Worker | None = None
        self.error: BaseException | None = None

    def path(self, sink: str) -> Path:
        return self.folder / f"{sink}.sqlite"

    def make(self, sink: str) -> Target:
        return target(self.path(sink), *self.job.tables, **self.options)

    def init(self, **options: Any) -> beginning.Beginning:
        return beginning.begin(self.job, self.make, **options)

    def once(self) -> None:
        """Run until caught up."""
        Worker(self.job, self.make, self.said.append).run(once=True)

    @contextmanager
    def running(self) -> Iterator[Worker]:
        """A worker in a thread."""
        self.worker = Worker(self.job, self.make, self.said.append)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        try:
            yield self.worker
        finally:
            self.worker.stop()
            self._thread.join(30)
            assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        assert self.worker is not None
        try:
            self.worker.run()
        except BaseException as error:
            self.error = error

    def down(self, sink: str, down: bool = True) -> None:
        mark = self.path(sink).with_suffix(".down")
        mark.touch() if down else mark.unlink(missing_ok=True)

    def kept(self, sink: str = "one") -> dict[str, Any]:
        with psycopg.connect(self.dsn, row_factory=psycopg.rows.dict_row) as conn:
            row = conn.execute("SELECT * FROM pgcharter.sync_sinks WHERE sink = %s", [sink]).fetchone()
        return row or {}

    def equal(self, sink: str = "one") -> bool:
        return not self.differences(sink)

    def differences(self, sink: str = "one") -> list[str]:
        """What a sink has otherwise than the source."""
        store, found = Store(self.path(sink)), []
        with source.open_source(self.dsn) as conn:
            for table in source.tables(conn, "p"):
                rows = [row for rows in source.read(conn, table, None, 10_000_000) for row in rows]
                names = [c.name for c in table.relation.columns]
                there = store.table(table.sql)
                here = {_key(table, r): dict(zip(names, r, strict=True)) for r in rows}
                found += [
                    f"{table.sql} {k}: {here.get(k)} is {there.get(k)}" for k in here.keys() | there.keys() if here.get(k) != there.get(k)
                ]
        return found

    def drop(self) -> None:
        with suppress(psycopg.Error), psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", [self.job.slot])
            conn.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [self.job.slot])


def _key(table: source.Table, row: tuple[Any, ...]) -> str:
    import json

    return json.dumps([v for c, v in zip(table.relation.columns, row, strict=True) if c.key])


def wait(what: Callable[[], Any], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
