"""One transaction over several databases: prepared everywhere, decided in one place, then committed everywhere, or nowhere.

    coordinator = Coordinator(dsn_of_the_log, name="orders-api", system="shop")

    with coordinator.transaction({"orders": conn, "stock": other}) as unit:      # AsyncCoordinator: async with
        conn.execute("INSERT INTO …")
        other.execute("UPDATE …")
    unit.pending                                        # participants that could not be told yet; recover tells them

Each participant's part is prepared (PREPARE TRANSACTION); then the decision is committed to `pgcharter.two_phase_log` (`[two_phase]`), and
only then the parts are committed. Who dies before the decision has decided nothing: its parts are rolled back by `recover`
(`twophase_recover`, `pgcharter transactions recover`); who dies after it is completed by it. Run that every minute: what is prepared holds
its locks, and back the removal of dead rows, until somebody ends it.

The session that writes decisions holds an advisory lock with the number of the coordinator's life, its epoch. When the lock is free the
session is gone, and with it whoever could still decide: that is how others know that no record means rollback.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from pgcharter.errors import PgcharterError, UnavailableError, UsageError
from pgcharter.names import literal
from pgcharter.redact import redact
from pgcharter.runtime.colours import Call, Steps, awaited, driven
from pgcharter.runtime.connections import AnyConnection, AsyncContextConnection, ContextConnection, begin, opened, sent
from pgcharter.runtime.context import NOTHING, Context, current
from pgcharter.runtime.locks_session import own_session
from pgcharter.runtime.placement import Schemas
from pgcharter.runtime.twophase_names import LIFE, SQL, Gid, InDoubtError, NotPreparedError, Place, checked, log_of, missing

log = logging.getLogger("pgcharter.runtime")
PATIENCE = 10.0
"""Seconds to wait until the server has noticed that a lost session of the log is gone."""
Participants = Mapping[str, AnyConnection]


def told(conn: AnyConnection, steps: Generator[Any, Any, Any]) -> Call:
    """A call that drives steps of psycopg's own on a connection, of either colour."""
    if isinstance(conn, psycopg.AsyncConnection):

        async def wait() -> Any:
            async with conn.lock:
                return await conn.wait(steps)

        return wait

    def wait_here() -> Any:
        with conn.lock:
            return conn.wait(steps)

    return wait_here


def say(conn: AnyConnection, sql: str) -> Call:
    """A call that sends statements in one message of the simple protocol, outside of what psycopg thinks of transactions."""
    return told(conn, sent(conn, sql.encode()))


class Unit:
    """One transaction over several databases, as its coordinator goes through it."""

    def __init__(self, gids: Mapping[str, str], participants: Participants, number: int, epoch: int) -> None:
        self.gids = gids
        """Names of its prepared transactions by participant."""
        self.number, self.epoch = number, epoch
        self.pending: tuple[str, ...] = ()
        """Participants that could not be told that it is committed; `recover` tells them."""
        self._conns = participants
        self._asked: set[str] = set()
        self._roles: set[str] = set()
        self._places: dict[str, Place] = {}

    def __getitem__(self, name: str) -> Any:
        """A participant's connection."""
        return self._conns[name]


class _Coordinator:
    """What both colours share; its methods are generators."""

    _connect: Callable[..., Any]
    _sleep: Callable[[float], Any]
    _mutex: Any

    def __init__(
        self, log: str, *, name: str, system: str = "pgcharter", patience: float = PATIENCE, reached: Callable[[str], None] | None = None
    ) -> None:
        """`log`: connection string of the database with `pgcharter.two_phase_log`, past any pooler. `name`: of this service.

        `reached` is told each point that a transaction passes, for tests. Raises UsageError for names that are none.
        """
        self.name, self.system = checked("coordinator", name), checked("system", system)
        self._dsn, self._patience = log, patience
        self._reached = reached or (lambda _: None)
        self._conn: Any = None
        self._epoch = 0
        self._log = ""
        self._numbers = itertools.count(1)

    @property
    def epoch(self) -> int:
        """Number of this life of the coordinator; 0 before its first transaction. A session of the log that is lost ends it."""
        return self._epoch

    def _opened(self) -> Steps[None]:
        """See that there is a session of the log, with an epoch of its own."""
        yield self._mutex.acquire
        try:
            if self._conn is None or self._conn.closed:
                yield from self._open()
        finally:
            self._mutex.release()

    def _open(self) -> Steps[None]:
        conn = yield partial(self._connect, self._dsn, autocommit=True, application_name=f"pgcharter coordinator {self.name}")
        try:
            yield told(conn, own_session(conn))
            yield say(conn, SQL["session"])
            (result,) = yield say(conn, SQL["place"])
            place = Place.of(result)
            if place.standby:
                raise UnavailableError("the log's server is a standby, so no decision can be written", hint="name the primary")
            (result,) = yield say(conn, SQL["epoch"].format(life=LIFE))
            if result.get_value(0, 1) != b"t":
                raise PgcharterError(f"epoch {result.get_value(0, 0).decode()} is held by somebody else: the log's sequence has gone back")
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
            yield conn.close
            raise missing(error) from error
        except BaseException:
            yield conn.close
            raise
        self._conn, self._epoch, self._log = conn, int(result.get_value(0, 0)), log_of(place)

    def _close(self) -> Steps[None]:
        if self._conn is not None:
            yield self._conn.close

    def _begun(self, participants: Participants, contexts: Mapping[str, Context], placement: Schemas | None) -> Steps[Unit]:
        _check(participants, contexts)
        yield from self._opened()
        number, epoch = next(self._numbers), self._epoch
        gids = {p: str(Gid(self.system, self._log, self.name, epoch, number, p)) for p in participants}
        unit = Unit(gids, dict(participants), number, epoch)
        try:
            for name, conn in participants.items():
                yield from _begin(unit, name, conn, contexts.get(name), placement)
        except BaseException:
            yield from self._undone(unit)
            raise
        return unit

    def _finished(self, unit: Unit) -> Steps[None]:
        """Prepare, decide, commit. Where anything fails before the decision, nothing is left anywhere."""
        try:
            for name in unit.gids:
                self._reached(f"before prepare {name}")
                yield from _prepare(unit, name)
                self._reached(f"after prepare {name}")
            self._reached("before decision")
            stopped = yield from self._decide(unit)
        except InDoubtError:
            raise
        except BaseException:
            yield from self._undone(unit)
            raise
        self._reached("after decision")
        yield from self._committed(unit, stopped)

    def _decide(self, unit: Unit) -> Steps[BaseException | None]:
        """Write down that it is committed; what stopped this meanwhile (a cancelled task) is given back, to be raised afterwards."""
        stopped: BaseException | None = None
        try:
            (result,) = yield self._deciding(unit, "commit")
            decided = result.ntuples == 1
        except BaseException as error:
            if isinstance(error, psycopg.Error) and error.sqlstate and not self._conn.closed:
                raise
            decided = yield from self._settled(unit, error)
            if not decided:
                raise
            stopped = None if isinstance(error, Exception) else error
        if not decided:
            raise NotPreparedError(
                f"transaction {unit.epoch}/{unit.number} came too late: the session that could decide about it was lost meanwhile, so it"
                " was rolled back everywhere",
                hint="run the whole again",
            )
        return stopped

    def _deciding(self, unit: Unit, decision: str) -> Call:
        at = {"epoch": unit.epoch, "number": unit.number, "life": LIFE, "coordinator": literal(self.name), "decision": literal(decision)}
        places = literal(json.dumps({name: str(place) for name, place in unit._places.items()}))
        return say(self._conn, SQL["decide"].format(**at, participants=f"{places}::jsonb"))

    def _settled(self, unit: Unit, error: BaseException) -> Steps[bool]:
        """Whether a decision was written whose answer was lost: known for sure once the session that wrote it is gone.

        Raises InDoubtError where the log cannot be asked in time.
        """
        until = time.monotonic() + self._patience
        epoch = {"life": LIFE, "epoch": unit.epoch}
        while True:
            try:
                yield from self._opened()
                (gone,) = yield say(self._conn, SQL["gone"].format(**epoch))
                if gone.get_value(0, 0) == b"t":
                    (found,) = yield say(self._conn, SQL["decision"].format(**epoch, number=unit.number))
                    yield say(self._conn, SQL["left"].format(**epoch))
                    return bool(found.ntuples) and found.get_value(0, 0) == b"commit"
            except (psycopg.Error, UnavailableError) as again:
                log.warning("two-phase: the log cannot be asked about %s/%s: %s", unit.epoch, unit.number, _line(again))
            if time.monotonic() > until:
                raise InDoubtError(
                    f"transaction {unit.epoch}/{unit.number} is prepared everywhere, and whether it was decided cannot be asked: {error}",
                    hint="pgcharter transactions recover ends it one way or the other; do not run it again before",
                ) from error
            yield partial(self._sleep, 0.05)

    def _committed(self, unit: Unit, stopped: BaseException | None) -> Steps[None]:
        """Commit what is prepared; it is decided, so who cannot be told now is told by `recover`."""
        for name, gid in unit.gids.items():
            self._reached(f"before commit {name}")
            try:
                yield say(unit[name], f"COMMIT PREPARED {literal(gid)}")
            except psycopg.errors.UndefinedObject:
                log.info("two-phase: %s was committed by somebody who recovers", gid)
            except BaseException as error:  # the others are told all the same
                unit.pending += (name,)
                stopped = stopped or (None if isinstance(error, Exception) else error)
                log.warning("two-phase: %s is decided and could not be committed: %s", gid, _line(error))
            self._reached(f"after commit {name}")
        if not unit.pending:
            self._reached("before forgetting")
            try:
                yield say(self._conn, SQL["forget"].format(epoch=unit.epoch, number=unit.number))
            except psycopg.Error:
                log.info("two-phase: the decision about %s/%s is left to be forgotten", unit.epoch, unit.number)
            self._reached("after forgetting")
        if stopped is not None:
            raise stopped

    def _undone(self, unit: Unit) -> Steps[None]:
        """Roll back whatever there is of it; where a participant does not hear that it must, the decision is written down for `recover`."""
        deaf: tuple[str, ...] = ()
        for name in unit.gids:
            gone = yield from _undo(unit, name)
            deaf = deaf if gone else (*deaf, name)
        if deaf:
            log.warning("two-phase: %s could not be told to roll back %s/%s", ", ".join(deaf), unit.epoch, unit.number)
            try:
                yield self._deciding(unit, "rollback")
            except psycopg.Error as error:
                log.info("two-phase: the log is lost as well, and no decision is one: %s", _line(error))


class Coordinator(_Coordinator):
    """Coordinates transactions over several databases, on connections of psycopg. Safe in threads; one session of the log for all."""

    def __init__(self, log: str, **said: Any) -> None:
        """See `_Coordinator`: `name`, `system`, `patience`."""
        super().__init__(log, **said)
        self._connect, self._sleep, self._mutex = psycopg.Connection.connect, time.sleep, threading.Lock()

    @contextmanager
    def transaction(
        self, participants: Mapping[str, psycopg.Connection[Any]], *, contexts: Mapping[str, Context] | None = None,
        placement: Schemas | None = None,
    ) -> Iterator[Unit]:  # fmt: skip
        """A transaction over these databases, by their names; committed at the end, or rolled back everywhere on an error.

        Each begins with its context: of `contexts`, else the current one. Raises NotPreparedError where a participant refuses,
        UnavailableError where a server allows no prepared transactions, InDoubtError where only recovery can tell; what a participant
        itself raises (a serialization failure, say) is raised as it is, after everything was rolled back.
        """
        unit = driven(self._begun(participants, contexts or {}, placement))
        try:
            yield unit
        except BaseException:
            driven(self._undone(unit))
            raise
        driven(self._finished(unit))

    def close(self) -> None:
        """Close the session of the log; what is not decided then never will be."""
        driven(self._close())


class AsyncCoordinator(_Coordinator):
    """The async twin of `Coordinator`."""

    def __init__(self, log: str, **said: Any) -> None:
        """See `_Coordinator`: `name`, `system`, `patience`."""
        super().__init__(log, **said)
        self._connect, self._sleep, self._mutex = psycopg.AsyncConnection.connect, asyncio.sleep, asyncio.Lock()

    @asynccontextmanager
    async def transaction(
        self, participants: Mapping[str, psycopg.AsyncConnection[Any]], *, contexts: Mapping[str, Context] | None = None,
        placement: Schemas | None = None,
    ) -> AsyncIterator[Unit]:  # fmt: skip
        """The async twin of `Coordinator.transaction`."""
        unit = await awaited(self._begun(participants, contexts or {}, placement))
        try:
            yield unit
        except BaseException:
            await awaited(self._undone(unit))
            raise
        await awaited(self._finished(unit))

    async def close(self) -> None:
        """Close the session of the log; what is not decided then never will be."""
        await awaited(self._close())


def _line(error: BaseException) -> str:
    return redact(" ".join(str(error).split()))


def _check(participants: Participants, contexts: Mapping[str, Context]) -> None:
    """Raise UsageError for what cannot take part, before anything has begun."""
    if not participants:
        raise UsageError("no database takes part")
    for name, conn in participants.items():
        checked("participant", name)
        if conn.closed:
            raise UsageError(f"the connection of participant {name} is closed")
        if conn.pgconn.transaction_status != TransactionStatus.IDLE or conn.pgconn.pipeline_status != PipelineStatus.OFF:
            raise UsageError(f"a transaction or pipeline is open on the connection of participant {name}", hint="commit it first")
    if len({id(c) for c in participants.values()}) < len(participants):
        raise UsageError("two participants have one connection", hint="one transaction of a connection, one participant")
    if unknown := sorted(contexts.keys() - participants.keys()):
        raise UsageError(f"contexts names {', '.join(unknown)}, and no participant is called so")


def _begin(unit: Unit, name: str, conn: AnyConnection, chosen: Context | None, placement: Schemas | None) -> Steps[None]:
    """Begin a participant's part with its context, mark it, and see what the server can do."""
    context = chosen or current()
    contextual = isinstance(conn, ContextConnection | AsyncContextConnection)
    if contextual or context != NOTHING:
        yield told(conn, opened(conn, context, placement))
        where = placement or (conn.placement if isinstance(conn, ContextConnection | AsyncContextConnection) else None)
        if context.role or (where and context.tenant):
            unit._roles.add(name)
    else:
        yield say(conn, begin(conn))
    _, result = yield say(conn, f"{SQL['begun'].format(gid=literal(unit.gids[name]))}; {SQL['place']}")
    place = unit._places[name] = Place.of(result)
    if place.standby:
        raise UnavailableError(f"participant {name} is a standby, so nothing can be prepared there", hint="connect to the primary")
    if not place.slots:
        raise UnavailableError(
            f"participant {name} allows no prepared transactions: max_prepared_transactions is 0",
            hint="ALTER SYSTEM SET max_prepared_transactions = 100, and restart the server; as many as max_connections is enough",
        )


def _prepare(unit: Unit, name: str) -> Steps[None]:
    """Prepare a participant's part. Raises NotPreparedError, and what the server refuses of the work itself as it is.

    PREPARE TRANSACTION of a failed transaction succeeds, with the tag ROLLBACK (documentation, "PREPARE TRANSACTION"), so the tag counts.
    A role that came with the context goes before, or COMMIT PREPARED would be refused: it takes who has prepared it. What is deferred runs
    before that, as the context's role.
    """
    conn, gid = unit[name], literal(unit.gids[name])
    status = conn.pgconn.transaction_status
    if status != TransactionStatus.INTRANS or conn.pgconn.pipeline_status != PipelineStatus.OFF:
        why = "a statement has failed in it" if status == TransactionStatus.INERROR else "it was ended, or left in a pipeline, by the work"
        raise NotPreparedError(f"participant {name} cannot be prepared: {why}; everything is rolled back")
    role = "SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL role TO DEFAULT; " if name in unit._roles else ""
    unit._asked.add(name)
    try:
        results = yield say(conn, f"{SQL['same'].format(gid=gid)}; {role}PREPARE TRANSACTION {gid}")
    except psycopg.Error as error:
        if error.sqlstate and not conn.closed:
            unit._asked.discard(name)
        refused = _unprepared(name, error)
        if refused is None:
            raise
        raise refused from error
    if results[-1].command_status != b"PREPARE TRANSACTION":
        unit._asked.discard(name)
        raise NotPreparedError(f"participant {name} was rolled back when it should be prepared; so is everything else")


def _unprepared(name: str, error: psycopg.Error) -> NotPreparedError | None:
    """What a refusal to prepare means; None where it is the work's own."""
    said = error.diag.message_primary or ""
    if isinstance(error, psycopg.errors.FeatureNotSupported):
        return NotPreparedError(
            f"participant {name} cannot be prepared: {said}",
            hint="leave NOTIFY, temporary tables, cursors WITH HOLD and exported snapshots out of it; notify others after the commit",
        )
    if isinstance(error, psycopg.errors.InvalidTextRepresentation) and "pgcharter two-phase" in said:
        return NotPreparedError(f"participant {name} cannot be prepared: the work has ended its transaction and begun another one")
    if isinstance(error, psycopg.errors.ConfigurationLimitExceeded | psycopg.errors.OutOfMemory):
        return NotPreparedError(
            f"participant {name} cannot be prepared: {said}",
            hint="ALTER SYSTEM SET max_prepared_transactions = …, and restart the server",
        )
    return None


def _undo(unit: Unit, name: str) -> Steps[bool]:
    """Roll back a participant's part; whether it is known to be gone. One that is not prepared goes with its session."""
    conn = unit[name]
    try:
        if conn.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            yield say(conn, "ROLLBACK")
        if name in unit._asked:
            yield say(conn, f"ROLLBACK PREPARED {literal(unit.gids[name])}")
    except psycopg.errors.UndefinedObject:
        return True
    except psycopg.Error:
        return name not in unit._asked
    return True
