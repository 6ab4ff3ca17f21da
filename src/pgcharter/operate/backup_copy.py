"""A base backup as the server sends it: BASE_BACKUP of the replication protocol (PostgreSQL's documentation, "Streaming Replication
Protocol"; the one stream of archives is that of 15 and newer), which is what pg_basebackup runs.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import pq

from pgcharter.db import Connection, connect
from pgcharter.errors import ConnectError, PgcharterError, UnavailableError
from pgcharter.names import literal

BATCH = 1 << 20
"""Bytes that are gathered before they are given on."""
SILENCE = 600.0
"""Seconds after which a server that sends nothing is given up (a checkpoint may take minutes)."""
MANIFEST = "backup_manifest"
BASE = "base.tar"


class Sink(Protocol):
    """Where one file of a backup goes."""

    def write(self, data: bytes) -> None:
        """Take `data`."""
        ...


@dataclass(frozen=True)
class Copied:
    """What the server said of the backup it has sent."""

    timeline: int
    start_lsn: str
    stop_lsn: str
    tablespaces: Mapping[str, str]
    """Oid → path."""
    size: int
    """Bytes sent."""


@contextmanager
def open_walsender(dsn: str) -> Iterator[Connection]:
    """A physical replication connection. Raises ConnectError with what is missing."""
    try:
        conn = connect(dsn, replication="true", application_name="pgcharter backup")
    except ConnectError as error:
        raise ConnectError(
            error.message,
            hint="a backup needs a role with REPLICATION (ALTER ROLE … REPLICATION), a line for database replication in pg_hba.conf, and a"
            " free one of max_wal_senders. " + error.hint,
        ) from None
    try:
        yield conn
    finally:
        conn.close()  # without the ROLLBACK that psycopg would send: nobody knows how far the protocol is


def identify(conn: Connection) -> tuple[str, int]:
    """System identifier and timeline."""
    result = conn.pgconn.exec_(b"IDENTIFY_SYSTEM")
    _tuples(result)
    return _text(result, 0, 0), int(_text(result, 0, 1))


def copy(
    conn: Connection, label: str, sink: Callable[[str], Sink], progress: Callable[[int, int], None], *, base: bytes | None = None
) -> Copied:
    """Have a backup sent: `sink(name)` gives where each of `base.tar`, `<oid>.tar` and `backup_manifest` goes.

    `base` is PostgreSQL's manifest of the backup it is incremental to. Raises PgcharterError with what the server said.
    """
    pg = conn.pgconn
    options = [f"LABEL {literal(label)}", "PROGRESS true", "CHECKPOINT 'fast'", "WAL false", "WAIT false", "MANIFEST 'yes'"]
    if base is not None:
        _upload(pg, base)
        options.append("INCREMENTAL true")
    pg.send_query(f"BASE_BACKUP ({', '.join(options)})".encode())
    start, timeline = _position(_next(conn))
    listed = _next(conn)
    spaces = {_text(listed, r, 0): _text(listed, r, 1) for r in range(listed.ntuples) if not _null(listed, r, 0)}
    total = sum(int(_text(listed, r, 2) or 0) for r in range(listed.ntuples) if not _null(listed, r, 2)) * 1024
    _next(conn, pq.ExecStatus.COPY_OUT)
    size = _archives(conn, sink, lambda done: progress(done, max(total, done)))
    stop, _ = _position(_next(conn))
    while (result := _waited(conn)) is not None:
        _checked(result)
    return Copied(timeline, start, stop, spaces, size)


def _upload(pg: pq.abc.PGconn, manifest: bytes) -> None:
    result = pg.exec_(b"UPLOAD_MANIFEST")
    if result.status != pq.ExecStatus.COPY_IN:
        raise _error(result)
    for at in range(0, len(manifest), 1 << 16):
        pg.put_copy_data(manifest[at : at + (1 << 16)])
    pg.put_copy_end()
    while (done := pg.get_result()) is not None:
        _checked(done)


def _archives(conn: Connection, sink: Callable[[str], Sink], progress: Callable[[int], None]) -> int:
    """Take the stream of archives apart: n begins one, m begins the manifest, d is content, p is progress."""
    held: list[bytes] = []
    size = total = 0
    out: Sink | None = None

    def flush() -> None:
        nonlocal size
        if out is not None and held:
            out.write(b"".join(held))
        held.clear()
        size = 0

    while (message := _message(conn)) is not None:
        kind = message[0]
        if kind == 100:  # d
            held.append(bytes(message[1:]))
            size += len(message) - 1
            total += len(message) - 1
            if size >= BATCH:
                flush()
                progress(total)
        elif kind in (110, 109):  # n, m
            flush()
            out = sink(bytes(message[1:]).split(b"\0")[0].decode() if kind == 110 else MANIFEST)
        elif kind != 112:  # p
            raise PgcharterError(f"the server sent what no base backup has: a message {chr(kind)!r}")
    flush()
    progress(total)
    return total


def _message(conn: Connection) -> memoryview | None:
    """The next message of COPY; None at its end."""
    pg = conn.pgconn
    while True:
        try:
            count, data = pg.get_copy_data(1)
        except psycopg.Error as error:
            raise ConnectError(f"the connection was lost during the backup: {_said(error)}") from None
        if count > 0:
            return data
        if count < 0:
            return None
        _wait(pg)


def _wait(pg: pq.abc.PGconn) -> None:
    ready, _, _ = select.select([pg.socket], [], [], SILENCE)
    if not ready:
        raise ConnectError(f"the server has sent nothing for {SILENCE:.0f} s, so the backup was given up")
    try:
        pg.consume_input()
    except psycopg.Error as error:
        raise ConnectError(f"the connection was lost during the backup: {_said(error)}") from None


def _waited(conn: Connection) -> pq.abc.PGresult | None:
    pg = conn.pgconn
    while pg.is_busy():
        _wait(pg)
    return pg.get_result()


def _next(conn: Connection, wanted: pq.ExecStatus = pq.ExecStatus.TUPLES_OK) -> pq.abc.PGresult:
    result = _waited(conn)
    if result is None:
        raise ConnectError("the server ended the backup before it was whole")
    _checked(result)
    if result.status != wanted:
        raise PgcharterError(
            f"the server answered a base backup with {pq.ExecStatus(result.status).name}", hint="PostgreSQL 15 or newer is needed"
        )
    return result


def _checked(result: pq.abc.PGresult) -> None:
    if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
        raise _error(result)


def _error(result: pq.abc.PGresult) -> PgcharterError:
    error = psycopg.errors.error_from_result(result, encoding="utf-8")
    said = _said(error)
    if "summarize_wal" in said or "WAL summar" in said or "UPLOAD_MANIFEST" in said:
        return UnavailableError(f"the server cannot make an incremental backup: {said}", hint=f"{error.diag.message_hint or _SUMMARIES}")
    if "checksum verification failure" in said:
        return PgcharterError("pages of the database are damaged: their checksums do not fit, so no backup was kept", hint=_PAGES)
    return PgcharterError(f"the server refused the backup: {said}", hint=error.diag.message_hint or "")


_SUMMARIES = "ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf(); then take a full backup first"
_PAGES = "the server's log names the files (WARNING: checksum verification failed); restore them from an older backup"


def _said(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().replace("\n", " ")


def _position(result: pq.abc.PGresult) -> tuple[str, int]:
    return _text(result, 0, 0), int(_text(result, 0, 1))


def _tuples(result: pq.abc.PGresult) -> None:
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise _error(result)


def _text(result: pq.abc.PGresult, row: int, column: int) -> str:
    return (result.get_value(row, column) or b"").decode()


def _null(result: pq.abc.PGresult, row: int, column: int) -> bool:
    return result.get_value(row, column) is None
