from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.conftest import installation
from tests.sinks.conformance import Conformance, Harness, Rows

from pgcharter.names import quote
from pgcharter.servers import account, lifecycle
from pgcharter.servers.lifecycle import Server
from pgcharter.sinks.postgresql import PostgresqlSink
from pgcharter.stream import values
from pgcharter.stream.model import Field, Shape

_numbers = itertools.count(1)


class PostgresqlHarness(Harness):
    """A database of its own on a server of the module; rows are read as PostgreSQL's text."""

    def __init__(self, server: Server, dsn: str) -> None:
        self.server, self.dsn = server, dsn

    def sink(self) -> PostgresqlSink:
        return PostgresqlSink(self.dsn, name="copies")

    def rows(self, shape: Shape) -> Rows:
        names = [f.name for f in shape.fields]
        columns = ", ".join(quote(n) for n in names)
        with psycopg.connect(self.dsn) as conn:
            for name, value in values.SESSION.items():
                conn.execute("SELECT set_config(%s, %s, false)", (name, value))
            with conn.cursor().copy(f"COPY (SELECT {columns} FROM public.{quote(shape.to)}) TO STDOUT".encode()) as copy:
                loads = [values.load(f.type) or str for f in shape.fields]
                found = [
                    {n: None if x is None else _comparable(load(x)) for n, load, x in zip(names, loads, row, strict=True)}
                    for row in copy.rows()
                ]
        return {tuple(row[k] for k in shape.key): row for row in found}

    def value(self, field: Field, value: Any) -> Any:
        return _comparable(value)

    def stop(self) -> None:
        assert self.server.process is not None
        lifecycle.end(self.server.process, signal.SIGQUIT)

    def start(self) -> None:
        lifecycle.launch(self.server, {**lifecycle.EPHEMERAL, "listen_addresses": ""})

    def fill(self) -> Callable[[], None]:
        """The server's process of the sink may write no file larger than a segment of the log, and the table nearly is."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("ALTER TABLE orders ALTER COLUMN body SET STORAGE EXTERNAL")
            conn.execute("INSERT INTO orders (id, body) SELECT -n, repeat('x', 100000) FROM generate_series(1, 140) n")
            found = conn.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgcharter sync copies'").fetchone()
        assert found is not None
        account.current().run(["prlimit", f"--pid={found[0]}", f"--fsize={17 << 20}:"], check=True)

        def room() -> None:
            with psycopg.connect(self.dsn, autocommit=True) as conn:
                conn.execute("DELETE FROM orders WHERE id < 0")

        return room

    def spoil(self, shape: Shape) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(f"CREATE TABLE {quote(shape.to)} (id integer PRIMARY KEY, amount int4range)".encode())


def _comparable(value: Any) -> Any:
    """Not-a-number as something that is equal to itself."""
    return "NaN" if value != value else [_comparable(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server of this module, which is stopped and started."""
    with lifecycle.start_ephemeral(installation()) as server:
        yield server


class TestPostgresql(Conformance):
    @pytest.fixture
    def harness(self, own_server: Server) -> Iterator[Harness]:
        name = f"copies_{next(_numbers)}"
        with psycopg.connect(own_server.dsn(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield PostgresqlHarness(own_server, own_server.dsn(name))
        with psycopg.connect(own_server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
