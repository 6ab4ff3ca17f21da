"""Recovery of transactions over several databases whose coordinator is gone, or could not reach everybody; and what has been left too long.

    found = look(dsn_of_the_log, {"orders": dsn, "stock": other}, system="shop")
    old(found, timedelta(minutes=5))                    # what somebody should look at
    done = recover(dsn_of_the_log, {"orders": dsn, "stock": other}, system="shop")

A part that is prepared and whose transaction is decided is ended as decided. Without a decision it is rolled back once its coordinator's
life is over, which the advisory lock of its epoch tells; recovery holds that lock itself meanwhile, and reads the log again under it. So
any number of recoveries may run at a time, again and again, cut off anywhere: each step is either done or left to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

import psycopg
from psycopg.conninfo import make_conninfo

from pgcharter.errors import UnavailableError
from pgcharter.names import literal
from pgcharter.redact import redact
from pgcharter.runtime.colours import Steps, awaited, driven
from pgcharter.runtime.locks_session import own_session
from pgcharter.runtime.twophase import say, told
from pgcharter.runtime.twophase_names import LIFE, SQL, Gid, Place, checked, log_of, missing

State = Literal["commit", "rollback", "live", "orphan", "other log", "foreign"]
"""commit, rollback: decided so · live: not decided, and its coordinator is there · orphan: not decided, its coordinator is gone ·
other log: another log decides · foreign: no coordinator of this system has made it."""
LOG = "(log)"
"""What the log's own server is called."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared transaction on one of the servers."""

    gid: str
    server: str
    """Participant under whose connection string it was found."""
    database: str
    owner: str
    """Who prepared it: only this role, or a superuser, can end it."""
    since: datetime
    age: timedelta
    """As its own server reckons."""
    state: State
    why: str = ""
    """Why recovery left it; empty where it was not tried."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one run of recovery did."""

    committed: tuple[str, ...] = ()
    rolled_back: tuple[str, ...] = ()
    left: tuple[Prepared, ...] = ()
    """What is still prepared, of this system and of others."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """Participants that could not be asked, and why."""
    waiting: tuple[str, ...] = ()
    """Decisions that are kept because a participant of theirs could not be asked: epoch/number."""


def old(found: Iterable[Prepared], age: timedelta) -> tuple[Prepared, ...]:
    """What has been prepared for longer than that: it holds its locks and keeps dead rows from being removed. The oldest first."""
    return tuple(sorted((p for p in found if p.age > age), key=lambda p: p.age, reverse=True))


def look(log: str, participants: Mapping[str, str], *, system: str = "pgcharter") -> Recovery:
    """What is prepared on the servers of the log and the participants (connection strings by name), and nothing changed."""
    return driven(_Run(psycopg.Connection.connect, log, participants, system, None).steps())


def recover(log: str, participants: Mapping[str, str], *, system: str = "pgcharter", older: timedelta = timedelta(minutes=1)) -> Recovery:
    """End what is decided, and what nobody can decide any more and is older than `older`.

    Raises UnavailableError where the log is not there, psycopg.OperationalError where its server cannot be reached; other servers that
    cannot be are named in the result, and the next run ends what they hold.
    """
    return driven(_Run(psycopg.Connection.connect, log, participants, system, older).steps())


async def look_async(log: str, participants: Mapping[str, str], *, system: str = "pgcharter") -> Recovery:
    """The async twin of `look`."""
    return await awaited(_Run(psycopg.AsyncConnection.connect, log, participants, system, None).steps())


async def recover_async(
    log: str, participants: Mapping[str, str], *, system: str = "pgcharter", older: timedelta = timedelta(minutes=1)
) -> Recovery:
    """The async twin of `recover`."""
    return await awaited(_Run(psycopg.AsyncConnection.connect, log, participants, system, older).steps())


class _Run:
    """One look, and with `older` one run of recovery."""

    def __init__(
        self, connect: Callable[..., Any], log: str, participants: Mapping[str, str], system: str, older: timedelta | None
    ) -> None:
        for name in participants:
            checked("participant", name)
        self._connect, self._dsns = connect, {**participants, LOG: log}
        self._system, self._older = checked("system", system), older
        self._conns: dict[tuple[str, str], Any] = {}
        self._servers: dict[tuple[str, str], str] = {}
        """The first participant of each server."""
        self._places: dict[str, Place] = {}
        self._log_id = ""
        self._done: dict[str, list[str]] = {"commit": [], "rollback": []}
        self._unreachable: dict[str, str] = {}

    def steps(self) -> Steps[Recovery]:
        """All of it."""
        try:
            yield from self._reach()
            left: list[Prepared] = []
            for prepared in (yield from self._prepared()):
                found = yield from self._handled(prepared)
                left += (found,) if found else ()
            waiting = (yield from self._forgotten()) if self._older is not None else ()
            done = {k: tuple(v) for k, v in self._done.items()}
            return Recovery(done["commit"], done["rollback"], tuple(left), self._unreachable, waiting)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
            raise missing(error) from error
        finally:
            for conn in self._conns.values():
                yield conn.close

    def _reach(self) -> Steps[None]:
        """Connect to every server that can be; the log's must."""
        for name in sorted(self._dsns, key=lambda n: n != LOG):
            try:
                place = yield from self._place(name)
            except psycopg.Error as error:
                if name == LOG:
                    raise
                self._unreachable[name] = redact(str(error).strip())
                continue
            if place.standby:
                if name == LOG:
                    raise UnavailableError("the log's server is a standby, which decides nothing", hint="name the primary")
                self._unreachable[name] = "it is a standby, and its primary has the say"
                continue
            self._places[name] = place
            self._servers.setdefault(place.server, name)
            if name == LOG:
                self._log_id = log_of(place)
                yield told(self._conn(LOG), own_session(self._conn(LOG)))

    def _conn(self, name: str) -> Any:
        return self._conns[name, ""]

    def _place(self, name: str) -> Steps[Place]:
        conn = yield partial(self._connected, name, "")
        self._conns[name, ""] = conn
        (result,) = yield say(conn, SQL["place"])
        return Place.of(result)

    def _connected(self, name: str, database: str) -> Any:
        """A connection to a participant's server, to another of its databases where one is named."""
        dsn = make_conninfo(self._dsns[name], dbname=database) if database else self._dsns[name]
        return self._connect(dsn, autocommit=True, application_name="pgcharter recovery", connect_timeout=10)

    def _prepared(self) -> Steps[list[Prepared]]:
        """What is prepared on each server, whatever database it is in."""
        found = []
        for server, name in tuple(self._servers.items()):
            try:
                (result,) = yield say(self._conn(name), SQL["prepared"])
            except psycopg.OperationalError as error:
                if name == LOG:
                    raise
                self._unreachable[name] = redact(str(error).strip())
                del self._servers[server]
                continue
            for i in range(result.ntuples):
                gid, database, owner, since, age = (result.get_value(i, c).decode() for c in range(5))
                began, held = datetime.fromtimestamp(float(since), UTC), timedelta(seconds=float(age))
                found.append(Prepared(gid, name, database, owner, began, held, "foreign"))
        return found

    def _handled(self, prepared: Prepared) -> Steps[Prepared | None]:
        """See what a prepared transaction is, and end it where that is to be done; None where it has ended."""
        gid = Gid.parse(prepared.gid)
        if gid is None or gid.system != self._system:
            return prepared
        if gid.log != self._log_id:
            return _as(prepared, "other log", "another log decides about it")
        decision = yield from self._decision(gid)
        if decision:
            return (yield from self._ended(prepared, gid, decision))
        life = {"life": LIFE, "epoch": gid.epoch}
        (gone,) = yield say(self._conn(LOG), SQL["gone"].format(**life))
        if gone.get_value(0, 0) != b"t":
            return _as(prepared, "live", "its coordinator is at work, or somebody else recovers it")
        try:
            decision = yield from self._decision(gid)
            if not decision and self._older is not None and prepared.age <= self._older:
                return _as(prepared, "orphan", "it is not old enough")
            return (yield from self._ended(prepared, gid, decision or "orphan"))
        finally:
            yield say(self._conn(LOG), SQL["left"].format(**life))

    def _decision(self, gid: Gid) -> Steps[str]:
        (result,) = yield say(self._conn(LOG), SQL["decision"].format(epoch=gid.epoch, number=gid.number))
        return result.get_value(0, 0).decode() if result.ntuples else ""

    def _ended(self, prepared: Prepared, gid: Gid, state: Any) -> Steps[Prepared | None]:
        """End it in its own database: COMMIT PREPARED works in no other one, though every one of the server lists it."""
        if self._older is None:
            return _as(prepared, state)
        verb = "commit" if state == "commit" else "rollback"
        try:
            conn = yield from self._own(prepared, gid)
            yield say(conn, f"{verb.upper()} PREPARED {literal(prepared.gid)}")
        except psycopg.errors.UndefinedObject:
            return None
        except psycopg.Error as error:
            return _as(prepared, state, error.diag.message_primary or str(error).strip())
        self._done[verb].append(prepared.gid)
        return None

    def _own(self, prepared: Prepared, gid: Gid) -> Steps[Any]:
        """A connection to the database that it is in: by the participant's own connection string where that leads to the server."""
        mine, found = self._places.get(gid.participant), self._places[prepared.server]
        name = gid.participant if mine and mine.server == found.server else prepared.server
        if self._conn(name).info.dbname == prepared.database:
            return self._conn(name)
        if (name, prepared.database) not in self._conns:
            self._conns[name, prepared.database] = yield partial(self._connected, name, prepared.database)
        return self._conns[name, prepared.database]

    def _forgotten(self) -> Steps[tuple[str, ...]]:
        """Forget decisions that are carried out everywhere; those that cannot be seen to be are given back.

        The log is read before the servers are asked again: what it decides to commit was prepared before. A rollback is kept as long as
        its coordinator lives, since a part of it may still be on its way to being prepared.
        """
        (result,) = yield say(self._conn(LOG), SQL["decisions"])
        rows = [tuple(result.get_value(i, c).decode() for c in range(4)) for i in range(result.ntuples)]
        parsed = [Gid.parse(p.gid) for p in (yield from self._prepared())] if rows else []
        there = {g.transaction for g in parsed if g and g.log == self._log_id}
        waiting = []
        for epoch, number, decision, places in rows:
            at = {"life": LIFE, "epoch": epoch, "number": number}
            if any(not self._asked(name, place) for name, place in json.loads(places).items()):
                waiting.append(f"{epoch}/{number}")
            elif (int(epoch), int(number)) not in there:
                if decision == "rollback":
                    (gone,) = yield say(self._conn(LOG), SQL["gone"].format(**at))
                    if gone.get_value(0, 0) != b"t":
                        continue
                    yield say(self._conn(LOG), SQL["left"].format(**at))
                yield say(self._conn(LOG), SQL["forget"].format(**at))
        return tuple(waiting)

    def _asked(self, name: str, place: str) -> bool:
        """Whether a participant could be asked, and is still the database that took part."""
        found = self._places.get(name)
        return found is not None and str(found) == place and found.server in self._servers


def _as(prepared: Prepared, state: State, why: str = "") -> Prepared:
    return replace(prepared, state=state, why=why)
