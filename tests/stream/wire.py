"""Changes read from a real server, message by message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pgcharter.stream.model import Change
from pgcharter.stream.pgoutput import Message
from pgcharter.stream.replication import Replication, Streaming
from pgcharter.stream.transactions import Assembler, Transaction


def name_of(oid: int, modifier: int) -> str:
    return f"{oid}:{modifier}"


@contextmanager
def slot(dsn: str, *tables: str, options: str = "", name: str = "s", two_phase: bool = False) -> Iterator[psycopg.Connection[Any]]:
    """A publication and a slot; both gone afterwards."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute("SELECT current_database()").fetchone()
        assert row is not None
        full = f"{name}_{row[0]}"
        what = "TABLE " + ", ".join(tables) if tables else "ALL TABLES"
        conn.execute(f"CREATE PUBLICATION p FOR {what} {options}".encode())
        conn.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', false, %s)", (full, two_phase))
        try:
            yield conn
        finally:
            conn.execute("SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s", (full,))
            conn.execute("SELECT pg_drop_replication_slot(%s)", (full,))


class Wire:
    """A replication connection, with what came over it."""

    def __init__(self, dsn: str, conn: psycopg.Connection[Any], **how: Any) -> None:
        row = conn.execute("SELECT current_database()").fetchone()
        assert row is not None
        self.conn, self.dsn, self.how = conn, dsn, Streaming(f"s_{row[0]}", "p", **how)
        self.open()
        self.raw: list[bytes] = []
        self.assembler = Assembler(name_of, local=self.how.origin == "none")
        self.transactions: list[Transaction] = []
        self.messages: list[Message] = []

    def open(self) -> None:
        self.replication = Replication(self.dsn)
        self.replication.start(self.how)

    def until(self, text: str = "end", seconds: float = 20.0) -> Wire:
        """Read until a message of this text, which is sent now."""
        self.conn.execute("SELECT pg_logical_emit_message(false, 'test', %s)", (text,))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for m in self.replication.receive(0.1):
                self.raw.append(m)
                told = self.assembler.feed(m)
                if isinstance(told, Transaction):
                    self.transactions.append(told)
                elif told is not None:
                    self.messages.append(told)
                    if told.content == text.encode():
                        return self
        raise AssertionError(f"{text!r} did not come")

    @property
    def changes(self) -> list[Change]:
        return [c for t in self.transactions for piece in t.changes() for c in piece]

    @property
    def kinds(self) -> set[str]:
        return {chr(m[0]) for m in self.raw}

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.replication.close()
