"""Rows by a temporary table: where COPY is refused, and where rows meet others that are there already."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import psycopg
from psycopg import capabilities

from pgcharter.errors import UnavailableError, UsageError
from pgcharter.names import quote
from pgcharter.runtime.bulk_bad import Failure, Ward, caused, told
from pgcharter.runtime.bulk_copy import BACK, Pour, gallop
from pgcharter.runtime.bulk_rows import taken
from pgcharter.runtime.bulk_target import Column, Overriding, Target
from pgcharter.runtime.colours import Steps

Conflict = Literal["error", "ignore", "update"]
Distinct = Literal["error", "first", "last"]
_TALLY = """
SELECT sum(pg_stat_get_xact_tuples_inserted(relid))::bigint, sum(pg_stat_get_xact_tuples_updated(relid))::bigint
  FROM pg_partition_tree(%(table)s::regclass)
"""
_names = itertools.count(1)
STREAM = 1000
"""Rows of an answer taken at once."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of rows whose key is there already."""

    on: Sequence[str] | str | None = None
    conflict: Conflict = "error"
    update: Sequence[str] | Mapping[str, str] | None = None
    where: str = ""
    index_where: str = ""
    distinct: Distinct | None = None
    returning: Sequence[str] = ()
    overriding: Overriding = None

    def key(self, target: Target) -> tuple[str, ...]:
        """The columns of the key; none where rows conflict with nothing that is known. Raises UsageError where one is needed."""
        if isinstance(self.on, str):
            found = [tuple(n for n in k.columns if n is not None) for k in target.keys if k.name == self.on]
            return found[0] if found else ()
        if self.on is not None:
            return tuple(self.on)
        primary = next((k for k in target.keys if k.primary), None)
        if primary is None and self.conflict == "update":
            raise UsageError(f"{target.id} has no primary key, so it is not said which rows are the same", hint='on=("column", …)')
        return tuple(n for n in primary.columns if n is not None) if primary else ()


class Merge:
    """Rows in a temporary table on their way into the table itself, in the order of their key, so that two merges lock alike."""

    def __init__(self, cursor: Any, target: Target, columns: Sequence[Column], rule: Rule, ward: Ward) -> None:
        self._cursor, self._target, self._columns, self._rule, self._ward = cursor, target, columns, rule, ward
        self.name = f"pgcharter_bulk_{next(_names)}"
        self._key = rule.key(target)
        given = {c.name for c in columns}
        lacking = [k for k in self._key if k not in given]
        if lacking and rule.conflict != "error" and rule.on is not None:
            raise UsageError(f"column {quote(lacking[0])} is of the key of {target.id}, and the rows do not have it")
        self._key = () if lacking else self._key
        self._alike = any(k.alike for k in target.arbiters(self._key))
        self._number, self._first = _free("pgcharter_n", given), _free("pgcharter_first", given)
        self._distinct = rule.distinct or ("error" if rule.conflict == "update" else None)
        self._conflict = self._clause()
        self.inserted: int | None = 0
        self.updated: int | None = 0
        self.written = 0

    def _clause(self) -> str:
        """ON CONFLICT …. Raises UsageError where there is nothing to update."""
        rule = self._rule
        if rule.conflict == "error":
            return ""
        if isinstance(rule.on, str):
            arbiter = f" ON CONSTRAINT {quote(rule.on)}"
        else:
            arbiter = f" ({', '.join(map(quote, self._key))})" if self._key else ""
            arbiter += f" WHERE {rule.index_where}" if rule.index_where else ""
        if rule.conflict == "ignore":
            return f" ON CONFLICT{arbiter} DO NOTHING"
        return f" ON CONFLICT{arbiter} DO UPDATE SET {self._assignments()}" + (f" WHERE {rule.where}" if rule.where else "")

    def _assignments(self) -> str:
        wanted = self._rule.update
        if isinstance(wanted, Mapping):
            pairs = dict(wanted)
        else:
            names = self._others() if wanted is None else list(wanted)
            pairs = {n: f"excluded.{quote(n)}" for n in names}
        self._target.taken(list(pairs), "system")
        if not pairs:
            raise UsageError(f"all columns that are given are of keys of {self._target.id}: there is nothing to update",
                             hint='conflict="ignore"')  # fmt: skip
        return ", ".join(f"{quote(n)} = {sql}" for n, sql in pairs.items())

    def _others(self) -> list[str]:
        """What a row that is there takes from the one that comes: all but its keys, by which others know it."""
        kept = {*self._key, *(n for key in self._target.keys if key.primary for n in key.columns)}
        return [c.name for c in self._columns if c.name not in kept and c.identity != "a"]

    def stage(self) -> Steps[None]:
        """Make the temporary table. Raises UnavailableError where that is not allowed."""
        columns = ", ".join(f"{quote(c.name)} {c.type}" + (f" COLLATE {c.collation}" if c.collation else "") for c in self._columns)
        try:
            yield self._sql(f"CREATE TEMPORARY TABLE {self.name} ({columns}) ON COMMIT DROP")
        except psycopg.errors.ReadOnlySqlTransaction:
            raise UnavailableError(f"the transaction is read-only, so {self._target.id} can take no rows") from None
        except psycopg.errors.InsufficientPrivilege as error:
            info = self._cursor.connection.info
            raise UnavailableError(
                f"{self._target.id} can be loaded by a temporary table only, and none can be made: {error.diag.message_primary}",
                hint=f"GRANT TEMPORARY ON DATABASE {quote(info.dbname)} TO {quote(info.user)}",
            ) from None

    def store(self, pour: Pour, returned: Callable[[tuple[Any, ...]], Any] | None) -> Steps[None]:
        """Take the rows over and drop the temporary table."""
        failure = None
        if self._distinct == "error" and self._rule.conflict == "ignore" and (yield from self._twice()):
            failure = Failure(None, "")
        if failure is None:
            failure = yield from self._attempt(self._select(), returned)
        if failure is not None:
            yield from self._one_by_one(pour, returned)
        yield self._sql(f"DROP TABLE {self.name}")

    def _one_by_one(self, pour: Pour, returned: Callable[[tuple[Any, ...]], Any] | None) -> Steps[None]:
        """Find the rows to blame by their places."""
        n, names = self._number, ", ".join(quote(c.name) for c in self._columns)
        yield self._sql(f"CREATE TEMPORARY TABLE {self.name}_n ON COMMIT DROP AS"
                        f" SELECT row_number() OVER (ORDER BY ctid) AS {n}, {names} FROM {self.name}")  # fmt: skip
        yield self._sql(f"CREATE INDEX ON {self.name}_n ({n})")
        if self._distinct == "error":
            yield from self._set_aside_twins(pour)
        elif self._distinct and self._key:
            best = "min" if self._distinct == "first" else "max"
            yield self._sql(f"DELETE FROM {self.name}_n WHERE {n} NOT IN"
                            f" (SELECT {best}({n}) FROM {self.name}_n GROUP BY {self._same(n)})")  # fmt: skip

        def attempt(start: int, end: int) -> Steps[Failure | None]:
            return self._attempt(
                f"SELECT {names} FROM {self.name}_n WHERE {n} > {start} AND {n} <= {end} ORDER BY {self._order(n)}", returned
            )

        def aside(index: int, failure: Failure) -> Steps[None]:
            yield self._sql(f"SELECT {names} FROM {self.name}_n WHERE {n} = {index + 1}")
            (row,) = yield self._cursor.fetchall
            yield from self._ward.take(pour.number(index + 1), failure, row)

        yield from gallop(pour.loaded, attempt, aside)
        yield self._sql(f"DROP TABLE {self.name}_n")

    def _set_aside_twins(self, pour: Pour) -> Steps[None]:
        """Rows with the key of an earlier one."""
        n, names = self._number, ", ".join(quote(c.name) for c in self._columns)
        yield self._sql(f"SELECT * FROM (SELECT min({n}) OVER (PARTITION BY {self._same(n)}) AS {self._first}, {n}, {names}"
                        f" FROM {self.name}_n) t WHERE {n} > {self._first} ORDER BY {n}")  # fmt: skip
        while rows := (yield partial(self._cursor.fetchmany, STREAM)):
            for first, number, *row in rows:
                reason = f"it has the same key ({', '.join(map(quote, self._key))}) as {pour.supply.unit} {pour.number(first):,}"
                yield from self._ward.take(pour.number(number), Failure(None, reason), tuple(row))
        yield self._sql(f"DELETE FROM {self.name}_n WHERE {n} NOT IN (SELECT min({n}) FROM {self.name}_n GROUP BY {self._same(n)})")

    def _twice(self) -> Steps[bool]:
        """Whether a key is given twice."""
        if not self._key:
            return False
        yield self._sql(f"SELECT FROM {self.name} GROUP BY {self._same('ctid')} HAVING count(*) > 1 LIMIT 1")
        rows: list[Any] = yield self._cursor.fetchall
        return bool(rows)

    def _same(self, place: str) -> str:
        """What rows of one key have in common. NULLs differ from each other, unless the index says otherwise."""
        key = ", ".join(map(quote, self._key))
        if self._alike:
            return key
        nulls = " OR ".join(f"{quote(k)} IS NULL" for k in self._key)
        return f"{key}, CASE WHEN {nulls} THEN {place} END"

    def _order(self, place: str) -> str:
        return ", ".join((*map(quote, self._key), place))

    def _select(self) -> str:
        names = ", ".join(quote(c.name) for c in self._columns)
        if self._distinct not in ("first", "last") or not self._key:
            alone = self._key and self._rule.conflict == "update"  # its keys differ, so their order is one
            order = self._order("ctid") if self._key and not alone else ", ".join(map(quote, self._key))
            return f"SELECT {names} FROM {self.name}" + (f" ORDER BY {order}" if order else "")
        same = self._same("ctid")
        return f"SELECT DISTINCT ON ({same}) {names} FROM {self.name} ORDER BY {same}, ctid{' DESC' if self._distinct == 'last' else ''}"

    def _fresh(self) -> str | None:
        """Tells a row that was inserted from one that was updated; None where PostgreSQL does not.

        Before 18: ON CONFLICT locks the old version first, and the new one carries that. A partition whose columns have other places has no
        system columns here ("cannot retrieve a system column in this context").
        """
        if self._cursor.connection.info.server_version >= 180000:
            return "old IS NULL" if self._target.kind == "v" else "old.tableoid IS NULL"
        return "xmax = 0" if self._target.kind == "r" else None

    def _tally(self) -> Steps[tuple[int, int]]:
        """What this transaction has inserted and updated so far in a partitioned table."""
        yield partial(self._cursor.execute, _TALLY.encode(), {"table": self._target.id.sql()})
        rows: list[tuple[int, int]] = yield self._cursor.fetchall
        return rows[0]

    def _attempt(self, select: str, returned: Callable[[tuple[Any, ...]], Any] | None) -> Steps[Failure | None]:
        """Store what a SELECT gives, under a savepoint; why it was refused, if it was."""
        rule, target = self._rule, self._target
        names = ", ".join(quote(c.name) for c in self._columns)
        override = f" OVERRIDING {rule.overriding.upper()} VALUE" if rule.overriding else ""
        insert = f"INSERT INTO {target.id.sql()} AS target ({names}){override} {select}{self._conflict}"
        yield self._sql("SAVEPOINT pgcharter_rows")
        try:
            counted = rule.conflict == "update" and target.kind == "p" and self._fresh() is None
            before = (yield from self._tally()) if counted else (0, 0)
            inserted, updated, written = yield from (self._answered(insert, returned) if rule.returning else self._counted(insert))
            if counted:
                after = yield from self._tally()
                both = after[0] - before[0], after[1] - before[1]
                inserted, updated = both if sum(both) == written else (None, None)  # track_counts is off, a trigger writes as well
        except psycopg.errors.InvalidColumnReference as error:
            raise UsageError(
                f"{target.id} has no unique index that says which rows are the same: {error.diag.message_primary}",
                hint=f"CREATE UNIQUE INDEX ON {target.id.sql()} ({', '.join(map(quote, self._key))})",
            ) from None
        except psycopg.Error as error:
            if not caused(error) and error.sqlstate != "21000":
                raise
            yield partial(self._cursor.execute, BACK)
            return told(error, self.name, self._columns)
        yield self._sql("RELEASE SAVEPOINT pgcharter_rows")
        self.written += written
        self.inserted = None if inserted is None or self.inserted is None else self.inserted + inserted
        self.updated = None if updated is None or self.updated is None else self.updated + updated
        return None

    def _counted(self, insert: str) -> Steps[tuple[int | None, int | None, int]]:
        fresh = self._fresh()
        if self._rule.conflict != "update" or fresh is None:
            yield self._sql(insert)
            count = self._cursor.rowcount
            return (None, None, count) if self._rule.conflict == "update" else (count, 0, count)
        yield self._sql(f"WITH done AS ({insert} RETURNING {fresh} AS fresh)"
                        " SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM done")  # fmt: skip
        ((inserted, updated),) = yield self._cursor.fetchall
        return inserted, updated, inserted + updated

    def _answered(self, insert: str, returned: Callable[[tuple[Any, ...]], Any] | None) -> Steps[tuple[int | None, int | None, int]]:
        """The same, with what RETURNING gives handed on as it comes."""
        fresh = self._fresh() if self._rule.conflict == "update" else "true"
        columns = ", ".join(f"target.{quote(n)}" for n in self._rule.returning)
        inserted = written = 0
        stream = self._cursor.stream(f"{insert} RETURNING {fresh or 'NULL'}, {columns}".encode(), **_sized())
        try:
            while rows := (yield partial(taken, stream, STREAM)):
                for new, *row in rows:
                    written, inserted = written + 1, inserted + bool(new)
                    if returned is not None:
                        yield partial(returned, (None if new is None else "insert" if new else "update", *row))
        finally:
            with suppress(RuntimeError):
                yield stream.aclose if hasattr(stream, "aclose") else stream.close
        return (None, None, written) if fresh is None else (inserted, written - inserted, written)

    def _sql(self, sql: str) -> Callable[[], Any]:
        return partial(self._cursor.execute, sql.encode(self._cursor.connection.info.encoding))


def _free(name: str, taken: set[str]) -> str:
    """A name that no column has."""
    while name in taken:
        name += "_"
    return name


def _sized() -> dict[str, int]:
    """How many rows libpq hands over at once, where it can hand over more than one (17 and newer)."""
    return {"size": STREAM} if capabilities.has_stream_chunked() else {}
