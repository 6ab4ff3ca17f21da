"""The replication connection: psycopg's protocol layer (`psycopg.pq`) knows COPY in both directions, which is all that it takes."""

from __future__ import annotations

import select
import struct
import time
from dataclasses import dataclass
from typing import Self

import psycopg
from psycopg import pq

from pgcharter.db import Connection, connect
from pgcharter.errors import ConnectError, PgcharterError
from pgcharter.names import literal, quote
from pgcharter.stream.errors import SlotLostError

EPOCH = 946_684_800
SETTINGS = (
    "SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 1;"
    " SET xmloption = 'content'; SET client_encoding = 'UTF8'; SET search_path = ''; SET row_security = off; SET statement_timeout = 0;"
    " SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off;"
    " SET synchronous_commit = local; SET idle_session_timeout = 0"
)
"""Values are written as text by whatever these say, so every session that reads values says the same. With row security off, what a row
policy would hide is refused instead: a copy would lack it."""
_HEAD = struct.Struct(">cQQQ")
_ALIVE = struct.Struct(">cQQB")
_STATUS = struct.Struct(">cQQQQB")
SILENCE = 30.0
"""Seconds without a word after which the server is asked for one; after as many again the connection is taken for dead."""


class SlotBusyError(PgcharterError):
    """Another worker reads the slot at this moment."""


@dataclass(frozen=True)
class Streaming:
    """How changes are asked for."""

    slot: str
    publication: str
    origin: str = "any"
    """`none`: only what was not replicated from elsewhere; asked of the server from 16 on, seen to by us before."""
    messages: bool = True
    two_phase: bool = False
    """Prepared transactions when they are prepared. The slot must have been made for it."""
    binary: bool = False
    parallel: bool = False
    """Streams may say where they were rolled back (from 16 on)."""

    def command(self, version: int, start: int = 0) -> str:
        """START_REPLICATION for a server of this version."""
        major = version // 10000
        options = {
            "proto_version": "4" if major >= 16 else "3" if major >= 15 else "2",
            "publication_names": quote(self.publication),
            "streaming": "parallel" if self.parallel and major >= 16 else "on",
            "messages": "true" if self.messages else "",
            "two_phase": "on" if self.two_phase and major >= 15 else "",
            "binary": "true" if self.binary else "",
            "origin": self.origin if major >= 16 and self.origin != "any" else "",
        }
        said = ", ".join(f"{name} {literal(value)}" for name, value in options.items() if value)
        return f"START_REPLICATION SLOT {quote(self.slot)} LOGICAL {lsn_text(start)} ({said})"


def lsn_text(lsn: int) -> str:
    """A position as PostgreSQL writes it: 16/B374D848."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """A position as PostgreSQL writes it, as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


class Replication:
    """A connection that speaks the replication protocol. One thread uses it."""

    def __init__(self, dsn: str, *, name: str = "pgcharter sync") -> None:
        self._conn: Connection = connect(dsn, replication="database", application_name=name)
        self._pg = self._conn.pgconn
        self.version = self._pg.server_version
        self.received = 0
        """Position up to which the server has sent what there is."""
        self.heard = time.monotonic()
        self._asked = False
        self.command(SETTINGS)

    def command(self, sql: str) -> pq.abc.PGresult:
        """Run a command of the replication protocol, or SQL. Raises ConnectError or PgcharterError."""
        result = self._pg.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COPY_BOTH):
            raise self._error(result)
        return result

    def start(self, how: Streaming, start: int = 0) -> None:
        """Begin to receive. Raises SlotBusyError when another reads the slot, SlotLostError when it or its log is gone."""
        try:
            self.command(how.command(self.version, start))
        except psycopg.Error as error:
            raise explain(error, how.slot) from None
        self._pg.nonblocking = 1
        self.heard = time.monotonic()

    def receive(self, wait: float) -> list[bytes]:
        """The messages of pgoutput that have come; none after `wait` seconds without any. Raises ConnectError when the server is gone."""
        found = self._ready()
        if found:
            return found
        ready, _, _ = select.select([self._pg.socket], [], [], wait)
        if ready:
            self._consume()
            found = self._ready()
        self._watch()
        return found

    def _consume(self) -> None:
        try:
            self._pg.consume_input()
        except psycopg.Error as error:
            raise ConnectError(f"the replication connection was lost: {_said(error)}") from None

    def _ready(self, most: int = 10_000) -> list[bytes]:
        found: list[bytes] = []
        get = self._pg.get_copy_data
        while len(found) < most:
            try:
                size, data = get(1)
            except psycopg.Error as error:
                raise ConnectError(f"the replication connection was lost: {_said(error)}") from None
            if size == 0:
                break
            if size < 0:
                raise self._ended()
            self.heard, self._asked = time.monotonic(), False
            if data[0] == 119:  # w
                found.append(bytes(data[25:]))
                self.received = max(self.received, _HEAD.unpack_from(data)[1])
            elif data[0] == 107:  # k
                _, end, _, wanted = _ALIVE.unpack_from(data)
                self.received = max(self.received, end)
                if wanted:
                    self.wanted = True
        return found

    wanted = False
    """Whether the server has asked for a status since the last one was sent."""

    def _watch(self) -> None:
        quiet = time.monotonic() - self.heard
        if quiet > 2 * SILENCE:
            raise ConnectError(f"the server has said nothing for {quiet:.0f} s on the replication connection, which is taken for dead")
        if quiet > SILENCE and not self._asked:
            self._asked = True
            self.status(0, ask=True)

    def status(self, durable: int, *, ask: bool = False) -> None:
        """Tell the server up to where changes are durable with us: the slot lets go of the log before. 0 says nothing new."""
        clock = int((time.time() - EPOCH) * 1_000_000)
        try:
            self._pg.put_copy_data(_STATUS.pack(b"r", max(self.received, durable), durable, durable, clock, ask))
            self._pg.flush()
        except psycopg.Error as error:
            raise ConnectError(f"the replication connection was lost: {_said(error)}") from None
        self.wanted = False

    def _ended(self) -> PgcharterError:
        result = self._pg.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            return explain(self._error(result), "")
        return ConnectError("the server ended the replication")

    def _error(self, result: pq.abc.PGresult) -> psycopg.Error:
        return psycopg.errors.error_from_result(result, encoding="utf-8")

    def close(self) -> None:
        """Close the connection."""
        self._conn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def explain(error: psycopg.Error, slot: str) -> PgcharterError:
    """What a refusal of the server means."""
    said = _said(error)
    if error.sqlstate == "55006":
        return SlotBusyError(
            f"slot {slot} is read by another worker ({said})", hint="one worker reads a slot: stop the other, or wait for it"
        )
    lost = "can no longer" in said or "invalidated" in said or ("requested WAL segment" in said and "removed" in said)
    if lost or (error.sqlstate == "42704" and "slot" in said):
        return SlotLostError(
            f"slot {slot} cannot be read any more: {said}; what was changed since cannot be streamed",
            hint="pgcharter sync init --anew makes another slot and seeds the copies anew",
        )
    if error.sqlstate == "42704" and "publication" in said:
        return PgcharterError(f"the publication is gone: {said}", hint="pgcharter policy apply")
    if error.sqlstate is None or error.sqlstate.startswith(("08", "57")):
        return ConnectError(f"the replication connection was lost: {said}")
    return PgcharterError(f"the server refused to send changes: {said}")


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip() or type(error).__name__
