"""Connections that lead through a pooler in transaction mode: each transaction may be on another session, which others use as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import TupleRow

from pgcharter.db import Connection
from pgcharter.stream.replication import SETTINGS

_LOCAL = SETTINGS.replace("SET ", "SET LOCAL ").encode()


def pooled(conn: Connection) -> bool:
    """Whether somebody stands between us and the server: who answers is not who said hello."""
    row = conn.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return row is not None and row[0] != conn.info.backend_pid


def settle(conn: Connection) -> None:
    """Have every transaction of a connection begin with our settings, and leave none of them behind."""
    conn.prepare_threshold = None
    conn.cursor_factory = _Cursor


class _Cursor(psycopg.Cursor[TupleRow]):
    """Statements outside of transactions get one of their own."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        if _says(query).lstrip()[:5].upper() == "BEGIN":
            super().execute(query, params, **options)
            _run(self.connection, _LOCAL)
            return self
        with _settled(self.connection):
            return super().execute(query, params, **options)

    def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
        with _settled(self.connection):
            super().executemany(query, params_seq, returning=returning)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Iterator[psycopg.Copy]:
        with _settled(self.connection), super().copy(statement, params, **options) as copy:
            yield copy


def _says(query: Any) -> str:
    return query.decode() if isinstance(query, bytes) else str(query)


@contextmanager
def _settled(conn: psycopg.Connection[Any]) -> Iterator[None]:
    if conn.pgconn.transaction_status != TransactionStatus.IDLE:
        yield
        return
    _run(conn, b"BEGIN; " + _LOCAL)
    try:
        yield
    except BaseException:
        if conn.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            _run(conn, b"ROLLBACK")
        raise
    _run(conn, b"COMMIT")


def _run(conn: psycopg.Connection[Any], sql: bytes) -> None:
    result = conn.pgconn.exec_(sql)
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
