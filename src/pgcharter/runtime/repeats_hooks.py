"""Where statements are heard: events of SQLAlchemy, cursors of psycopg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import Composable

from pgcharter.errors import UsageError
from pgcharter.runtime import repeats_places

RELATIONSHIP = "pgcharter_relationship"
"""Execution option in which a lazy load says of which relationship it is."""
Hear = Callable[["Heard"], None]
Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """A statement that is about to be sent."""

    statement: str
    batch: bool = False
    """Many rows in one go: an executemany, a COPY, a part of SQLAlchemy's insertmanyvalues."""
    relationship: str = ""

    def place(self) -> tuple[str, bool]:
        """The line that sends it, and whether the flush of a session does."""
        return repeats_places.place()


def attach(target: object, hear: Hear) -> Undo:
    """Hear every statement of a target, until what is returned is called. Raises UsageError for what cannot be heard."""
    if isinstance(target, psycopg.Connection | psycopg.AsyncConnection):
        return _cursors(target, lambda _conn: hear)
    return _events(_bound(target), lambda _conn: hear)


def transactions(target: object, begun: Callable[[], Hear]) -> None:
    """Hear every statement of a target for good; each transaction asks `begun` for who hears it."""
    if isinstance(target, psycopg.Connection | psycopg.AsyncConnection):
        _cursors(target, _each(begun))
        _ends(target)
        return
    from sqlalchemy import event

    _events(_bound(target), _each(begun))
    for name in ("begin", "commit", "rollback"):
        event.listen(_bound(target), name, _over)


def _over(conn: Any) -> None:
    """A transaction of SQLAlchemy begins or ends."""
    conn.connection.driver_connection.pgcharter_hears = None


def _ends(conn: Any) -> None:
    """Have a connection of psycopg notice the end of a transaction that was begun before its first statement."""
    send = conn._exec_command

    def sent(command: Any, *args: Any, **options: Any) -> Any:
        if isinstance(command, bytes) and command in (b"COMMIT", b"ROLLBACK"):
            conn.pgcharter_hears = None
        return send(command, *args, **options)

    conn._exec_command = sent


def _each(begun: Callable[[], Hear]) -> Callable[[Any], Hear]:
    """Who hears a statement on a driver's connection: somebody new whenever no transaction is open."""

    def chosen(driver: Any) -> Hear:
        hear: Hear | None = getattr(driver, "pgcharter_hears", None)
        if hear is None or driver.pgconn.transaction_status == TransactionStatus.IDLE:
            driver.pgcharter_hears = hear = begun()
        return hear

    return chosen


def _cursors(conn: Any, who: Callable[[Any], Hear]) -> Undo:
    """Have a connection of psycopg make cursors that tell."""
    before = {name: conn.__dict__.get(name) for name in ("cursor_factory", "server_cursor_factory")}
    for name in before:
        setattr(conn, name, _telling(getattr(conn, name), who))

    def undo() -> None:
        for name, own in before.items():
            delattr(conn, name) if own is None else setattr(conn, name, own)

    return undo


def _telling(factory: Any, who: Callable[[Any], Hear]) -> Any:
    """A class of cursors that tells before it sends; an async one does so when it is called, not when it is awaited."""

    def tell(cursor: Any, query: Any, *, batch: bool = False) -> None:
        who(cursor.connection)(Heard(_text(query, cursor), batch))

    class Telling(factory):  # type: ignore[misc]
        def execute(self, query: Any, *args: Any, **options: Any) -> Any:
            tell(self, query)
            return super().execute(query, *args, **options)

        def executemany(self, query: Any, *args: Any, **options: Any) -> Any:
            tell(self, query, batch=True)
            return super().executemany(query, *args, **options)

        def stream(self, query: Any, *args: Any, **options: Any) -> Any:
            tell(self, query)
            return super().stream(query, *args, **options)

        def copy(self, query: Any, *args: Any, **options: Any) -> Any:
            tell(self, query, batch=True)
            return super().copy(query, *args, **options)

    return Telling


def _text(query: Any, cursor: Any) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    if isinstance(query, Composable):
        return query.as_string(cursor.connection)
    return "%s".join(query.strings)  # a template string


def _bound(target: Any) -> Any:
    """The engine or connection of SQLAlchemy that a target sends over; events are theirs."""
    sync = getattr(target, "sync_engine", None) or getattr(target, "sync_connection", None) or getattr(target, "sync_session", target)
    names = {c.__name__ for c in type(sync).__mro__ if c.__module__.startswith("sqlalchemy.")}
    if "Session" in names:
        return sync.get_bind()
    if names & {"Engine", "Connection", "OptionEngine"}:
        return sync
    kind = f"{type(target).__module__}.{type(target).__qualname__}"
    raise UsageError(
        f"statements of {kind} cannot be heard", hint="an engine, connection or session of SQLAlchemy, or a psycopg connection"
    )


def _events(bound: Any, who: Callable[[Any], Hear]) -> Undo:
    from sqlalchemy import event
    from sqlalchemy.engine.interfaces import ExecuteStyle
    from sqlalchemy.orm import Session

    def before(conn: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, many: bool) -> None:
        options = context.execution_options if context is not None else {}
        batch = many or (context is not None and context.execute_style is ExecuteStyle.INSERTMANYVALUES)
        who(conn.connection.driver_connection)(Heard(statement, batch, options.get(RELATIONSHIP, "")))

    event.listen(bound, "before_cursor_execute", before)
    event.listen(Session, "do_orm_execute", loads := _Loads())

    def undo() -> None:
        event.remove(bound, "before_cursor_execute", before)
        event.remove(Session, "do_orm_execute", loads)

    return undo


class _Loads:
    """Has a lazy load say of which relationship it is; a new one for each who hears, since SQLAlchemy keeps one of a kind."""

    def __call__(self, state: Any) -> None:
        if state.is_relationship_load and state.lazy_loaded_from is not None and state.loader_strategy_path is not None:
            found = state.loader_strategy_path[-1]
            found = found if hasattr(found, "key") else state.loader_strategy_path[-2]
            state.update_execution_options(**{RELATIONSHIP: f"{found.parent.class_.__name__}.{found.key}"})
