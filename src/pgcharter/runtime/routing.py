"""Where read-only work goes: to a replica that has replayed what the caller has written, else to the primary.

Whether a replica has replayed it is asked of the replica itself, in the message that begins the unit of work, unless it has been shown in
the same session before. A commit that has been replayed is visible to each snapshot taken after that: the standby ends the transaction
(ExpireTreeKnownAssignedTransactionIds in xact_redo_commit, xact.c) before it moves the position that pg_last_wal_replay_lsn() shows
(lastReplayedEndRecPtr in ApplyWalRecord, xlogrecovery.c). What is known from other sessions and from watchers only chooses.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.rows import tuple_row

from pgcharter.errors import ConnectError, PgcharterError
from pgcharter.runtime.colours import Steps
from pgcharter.runtime.context import NOTHING, using
from pgcharter.runtime.pools import PoolExhaustedError
from pgcharter.runtime.replicas import Facts, Positions, Replica, Routing, RoutingCounts
from pgcharter.runtime.routing_watch import HISTORY, Watcher
from pgcharter.runtime.served import REPLAYED, Terms
from pgcharter.runtime.tokens import Seen, Token, current_seen, ended, lsn_of

if TYPE_CHECKING:
    from pgcharter.runtime.work import AnyWork

__all__ = ["Router", "Routing", "RoutingCounts", "Token"]
log = logging.getLogger("pgcharter.runtime")
Met = Literal["enough", "behind", "again", "out"]
"""What a unit of work has met with on a replica; `again`: something had to be asked first, and it is as it should be."""
_FIRST, _GROWS, _LONGEST = 0.002, 1.6, 0.02
"""Seconds of the first pause while a replica catches up, what each further one is longer by, and the longest."""


class Router:
    """Chooses replicas of a database for work that only reads."""

    def __init__(self, database: Any, routing: Routing) -> None:
        self.database = database
        self.routing = routing
        self.counts = RoutingCounts()
        self.system = ""
        """The system identifier of the primary."""
        self.latest: Token | None = None
        """The newest commit of this `Database`."""
        self.replicas = tuple(Replica(server) for server in database.replicas)
        self._positions = Positions(routing.max_lag)
        self._asking: dict[Terms, Terms] = {}
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._page = self._segment = 0
        self._blind = 0
        """Looks at the primary until the position of a commit whose answer was lost is known: one may be under way, the next is not."""
        self._alone = False
        """The primary cannot be reached: what the replicas are of is asked of themselves."""
        self._watchers: dict[int, Watcher] = {}
        self._all: list[Watcher] = []

    # watching

    def _watched(self) -> list[Watcher]:
        options = self.database._connect_kwargs()
        made = [Watcher(self.database.primary, self.routing.poll, options, self._heard_primary, self._failed_primary)]
        for each in self.replicas:
            made.append(Watcher(each.server, self.routing.poll, options, partial(self._heard, each), each.fails))
            self._watchers[id(each)] = made[-1]
        self._all = made
        return made

    def start(self) -> None:
        """Watch the servers in threads."""
        for each in self._watched():
            each.start()

    def stop(self) -> None:
        """Watch no more."""
        for each in self._all:
            each.stop()

    def start_async(self) -> None:
        """Watch the servers in tasks."""
        for each in self._watched():
            each.start_async()

    async def stop_async(self) -> None:
        """Watch no more."""
        for each in self._all:
            await each.stop_async()

    def status(self) -> dict[str, str]:
        """Of each replica why no work goes to it; empty where it does."""
        return {each.server.name: each.why(self.routing) for each in self.replicas}

    def _heard_primary(self, facts: Facts) -> Steps[None]:
        if not facts.standby:
            if self.system != facts.system:
                for each in self._watchers.values():
                    each.wake()
            self.system, self._page, self._segment = facts.system, facts.page, facts.segment
            self._positions.note(facts.timeline, facts.lsn, time.monotonic())
            if self._blind:
                self._blind -= 1
                if not self._blind:
                    self._noted(facts.system, facts.timeline, facts.end, None)
        yield from ()

    def _failed_primary(self, _error: BaseException) -> None:
        self._alone = True

    def _heard(self, replica: Replica, facts: Facts) -> Steps[None]:
        """What a look at a replica has shown. One whose connections have failed is back when a new one could be borrowed."""
        if not self.system and not self._alone:
            return
        self.system = self.system or facts.system
        if replica.broken:
            replica.broken = False
            yield replica.server.pool.check
            with contextlib.suppress(PoolExhaustedError):
                conn = yield from replica.server.borrow(2.0)
                yield from replica.server.give_back(conn)
        replica.at(facts.lsn, self._positions, time.monotonic())
        before = replica.out
        replica.judged(facts, self.system, self.routing)
        if bool(before) != bool(replica.out):
            log.info("%s: %s", replica.server.name, f"left out, {replica.out}" if replica.out else "reads go to it")

    # units of work

    def committed(self, work: AnyWork) -> None:
        """A unit of work has been committed: what it wrote is to be seen by what its context reads next."""
        if not work.terms.tells:
            return
        said, scope = work.held.said, current_seen()
        if not said.told:
            self._blind = 2
            if scope is not None:
                scope.lost()
            return
        self._noted(said.facts[0], int(said.facts[1], 16), lsn_of(said.told[0].decode()), scope)

    def _noted(self, system: str, timeline: int, end: int, scope: Seen | None) -> None:
        token = Token(system, ended(end, self._page, self._segment), timeline)
        self.system = system
        self._positions.note(timeline, token.lsn, time.monotonic())
        if scope is not None:
            scope.note(token)
        with self._lock:
            if self.latest is None or self.latest.system != system or token.newer(self.latest):
                self.latest = token

    def needs(self, after: Token | None) -> Token | None:
        """What a read of this context has to see: in a scope what that has seen, outside all that this Database has committed."""
        scope = current_seen()
        found = scope.of(self.system) if scope is not None else self.latest
        if after is not None and after.system == self.system and after.newer(found):
            return after
        return found

    def begun(self, terms: Terms, attempt: int, after: Token | None) -> Steps[AnyWork | None]:
        """A unit of work on a replica that has replayed enough; None where it belongs on the primary."""
        scope = current_seen()
        if terms.isolation == "serializable" or attempt > self.routing.attempts or (self._blind if scope is None else scope.blind):
            return None
        need = self.needs(after)
        fit = partial(_terms_for, need=need, terms=terms, asked=self._asked(terms)) if need is not None else None
        failed: set[int] = set()
        deadline, pause = 0.0, _FIRST
        while (replica := self._choose(need, failed, deadline)) is not None:
            work, met = yield from self._try(replica, terms, attempt, need, fit)
            if work is not None:
                self.counts.replica += 1
                return work
            if met == "out":
                failed.add(id(replica))
            elif met == "behind":
                if not deadline:
                    self.counts.waited += 1
                    deadline = time.monotonic() + self.routing.wait
                if time.monotonic() + pause > deadline:
                    break
                yield partial(self.database._sleep, pause)
                pause = min(_LONGEST, pause * _GROWS)
        self.counts.primary += 1
        return None

    def _asked(self, terms: Terms) -> Terms:
        found = self._asking.get(terms)
        if found is None:
            found = self._asking[terms] = replace(terms, asks=REPLAYED)
        return found

    def _choose(self, need: Token | None, failed: set[int], deadline: float) -> Replica | None:
        """The replica with the fewest loans of those that have, or may soon have, replayed what is needed."""
        now = time.monotonic()
        wait = max(0.0, deadline - now) if deadline else self.routing.wait
        best, least, turn, count = None, (True, 0), next(self._turn), len(self.replicas)
        for number in range(count):
            each = self.replicas[(turn + number) % count]
            if id(each) in failed or not each.fit(need, wait, self.routing, now):
                continue
            load = (need is not None and each.lsn < need.lsn, len(each.server.loans))
            if best is None or load < least:
                best, least = each, load
        return best

    def _try(
        self, replica: Replica, terms: Terms, attempt: int, need: Token | None, fit: Callable[[Any], Terms] | None
    ) -> Steps[tuple[AnyWork | None, Met]]:
        """Begin on a replica; where it is not far enough, or cannot, nothing is left open."""
        try:
            work: AnyWork = yield from self.database.begun_on(replica.server, terms, attempt, self.routing.borrow, fit)
            met: Met = "out"
            try:
                met = "enough" if need is None else (yield from self._met(replica, work, need))
            finally:
                if met != "enough":
                    yield from self.database._released(work)
        except (PgcharterError, psycopg.Error) as error:
            self.counts.failed += 1
            log.debug("a unit of work could not begin on %s: %s", replica.server.name, error)
            if isinstance(error, ConnectError | psycopg.OperationalError):
                replica.fails(error)
                self._watchers[id(replica)].wake()
            return None, "out"
        return (work if met == "enough" else None), met

    def _met(self, replica: Replica, work: AnyWork, need: Token) -> Steps[Met]:
        """Whether the replica that a unit of work has begun on has replayed so much. Rolled back where it has not."""
        said, conn = work.held.said, work._conn
        if not work.held.terms.asks:
            return "enough"
        if not said.replayed:
            yield from work._undo()
            replica.put("it is no standby")
            return "out"
        lsn = lsn_of(said.replayed)
        replica.at(lsn, self._positions, time.monotonic())
        reached = getattr(conn, "reached", None)
        if reached is not None:
            conn.reached = reached = replace(reached, lsn=lsn)
            if reached.covers(need):
                return "enough"
        yield from work._undo()
        return (yield from self._history(replica, work, lsn, need)) if lsn >= need.lsn else "behind"

    def _history(self, replica: Replica, work: AnyWork, lsn: int, need: Token) -> Steps[Met]:
        """Ask of which system and timeline a connection's server is: once, and again when a promotion has begun another timeline."""
        conn, work._conn.held = work._conn, None
        with using(replace(NOTHING, everybody=True)):
            cursor = conn.cursor(row_factory=tuple_row)
            yield partial(cursor.execute, HISTORY)
            system, timeline = yield cursor.fetchone
            yield conn.rollback
        conn.reached = Token(system, lsn, timeline or 0)
        if system != need.system:
            replica.put(f"it is of system {system}, and the primary of {need.system}")
            return "out"
        return "again" if conn.reached.covers(need) else "behind"


def _terms_for(conn: Any, need: Token, terms: Terms, asked: Terms) -> Terms:
    """Ask how far the replica is, unless this very connection has shown it: what has been replayed stays so while a session lasts.

    Behind a pooler another session may stand behind each transaction: always ask.
    """
    reached = getattr(conn, "reached", None)
    return terms if reached is not None and not conn.usual and reached.covers(need) else asked
