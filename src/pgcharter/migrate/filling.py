"""Tables of a scratch database filled with rows of a production database's shape, so that migrations can be timed there.

Everything runs as the scratch database's unprivileged owner: checks, domains and indexes call functions of the project. For the time of
filling it may switch triggers, rules and foreign keys off (`session_replication_role`), a right that it loses again. What cannot be filled
is said, with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from pgcharter.catalog.model import Catalog, Constraint, Table
from pgcharter.errors import RefusedError
from pgcharter.migrate.bounds import apart_from_itself, into_partition
from pgcharter.migrate.fitting import Fitter, numbered, rules
from pgcharter.migrate.generating import Generator, Unfillable, Want, keys_of, partial_keys
from pgcharter.migrate.shape import Shape, TableShape
from pgcharter.names import ObjectId, literal, quote
from pgcharter.sources import Progress

if TYPE_CHECKING:
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import ScratchDatabase

ROWS = 200_000
"""Most rows that a table gets."""
_CHUNK = 20_000
_LARGEST = 1 << 30
"""Most bytes of rows that a table gets."""
_TRIES = 20
"""How many times as many rows as wanted are made at most, when some are refused."""


@dataclass
class Filled:
    """What became of the tables."""

    rows: dict[ObjectId, int] = field(default_factory=dict)
    """Rows that are there now."""
    real: dict[ObjectId, int] = field(default_factory=dict)
    """Rows that production has."""
    why: dict[ObjectId, str] = field(default_factory=dict)
    """Tables that could not be filled, or not enough, and the reason: nothing can be said of their times."""


def fill(
    database: ScratchDatabase,
    catalog: Catalog,
    shape: Shape,
    tables: Collection[ObjectId],
    later: Catalog | None = None,
    *,
    most: int = ROWS,
    progress: Progress | None = None,
) -> Filled:
    """Fill `tables` of `catalog`, which `database` holds, and those they refer to. `later` is what migrations are to make of it: rows also
    meet its constraints, unless production's statistics say that they do not.

    Raises RefusedError on a server where nobody may switch triggers off.
    """
    filling = _Filling(database, catalog, shape, later, most)
    with without_triggers(database, catalog) as conn:
        filling.prepare(conn, tables)
        for number, want in enumerate(filling.wants.values()):
            if progress:
                progress(f"filling {want.table.id.sql()}", number, len(filling.wants))
            filling.table(conn, want)
        filling.mend(conn)
    return filling.made


@contextlib.contextmanager
def without_triggers(database: ScratchDatabase, catalog: Catalog) -> Iterator[Connection]:
    """The owner's session, in which neither triggers nor rules nor foreign keys act, and every schema is looked in."""
    owner = quote(database.scratch.owner)
    try:
        database.admin.execute(f"GRANT SET ON PARAMETER session_replication_role TO {owner}".encode())
    except psycopg.Error as error:
        raise RefusedError(
            f"tables cannot be filled on this scratch server: {error.diag.message_primary}",
            hint="leave --scratch-url out, or give it a superuser's connection string",
        ) from None
    conn = database.conn
    try:
        path = ", ".join(["pg_catalog", *(quote(s.name) for s in catalog.schemas)])
        conn.execute(f"SET session_replication_role = replica; SET search_path = {path}; SET TimeZone = 'UTC'; SET jit = off".encode())
        conn.execute("SET synchronous_commit = off; SET DateStyle = 'ISO, YMD'; SET row_security = on")
        yield conn
    finally:
        with contextlib.suppress(psycopg.Error):
            database.conn.execute("RESET ALL")
        database.admin.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {owner}".encode())


class _Filling:
    def __init__(self, database: ScratchDatabase, catalog: Catalog, shape: Shape, later: Catalog | None, most: int) -> None:
        self.database = database
        self.catalog = catalog
        self.shape = shape
        self.later = later
        self.most = most
        self.made = Filled()
        self.wants: dict[ObjectId, Want] = {}
        self.kept: dict[ObjectId, int] = {}
        self.below: dict[ObjectId, list[Table]] = {}
        for table in catalog.tables:
            if table.partition_of:
                self.below.setdefault(table.partition_of, []).append(table)
        self.gaps: set[ObjectId] = set()
        """Tables in which numbers of rows are left out, so that a foreign key may lead nowhere."""
        self.generator = Generator(catalog, self.wants, self.kept)

    def prepare(self, conn: Connection, tables: Collection[ObjectId]) -> None:
        """Decide which tables get how many rows."""
        for table in self._closure(tables):
            there = conn.execute(f"SELECT count(*) FROM (SELECT 1 FROM ONLY {table.id.sql()} LIMIT {self.most}) t".encode()).fetchone()
            self._decide(table, int(there[0]) if there else 0)
        for want in self.wants.values():
            want.keys, want.foreign_keys = self._keys(want), self._foreign_keys(want)
            into_partition(want, self.catalog)
            apart_from_itself(want)

    def _closure(self, tables: Collection[ObjectId]) -> list[Table]:
        """The tables that hold rows, with their partitions and all they refer to."""
        found: dict[ObjectId, Table] = {}
        waiting = [self.catalog.table[t] for t in sorted(tables) if t in self.catalog.table]
        while waiting:
            table = waiting.pop()
            if table.id in found:
                continue
            found[table.id] = table
            waiting += self.below.get(table.id, ())
            for side in (table, self.later.table.get(table.id) if self.later else None):
                targets = [self.catalog.table.get(fk.references) for fk in side.foreign_keys if fk.references] if side else []
                waiting += [t for t in targets if t is not None]
        return [t for _, t in sorted(found.items()) if t.kind != "partitioned table"]

    def _decide(self, table: Table, there: int) -> None:
        shape = self.shape.tables.get(table.id)
        if table.kind == "foreign table":
            self.made.why[table.id] = "it is a foreign table"
        elif shape is None:
            self.made.why[table.id] = "the shape does not know it: take it anew"
        elif shape.rows is None or (shape.unseen and shape.rows):
            self.made.why[table.id] = f"the shape has no statistics of it: {shape.unseen}"
        elif there and (there >= self.most or shape.rows <= 10 * there):
            self.kept[table.id], self.made.rows[table.id], self.made.real[table.id] = there, there, max(shape.rows, there)
        else:
            self.made.real[table.id] = shape.rows
            self.wants[table.id] = Want(table, self._wanted(shape), shape)

    def _wanted(self, shape: TableShape) -> int:
        rows = shape.rows or 0
        fitting = _LARGEST * rows // shape.bytes if shape.bytes and rows else self.most
        return max(min(rows, self.most, max(fitting, 1)), 0)

    def _keys(self, want: Want) -> tuple[tuple[str, ...], ...]:
        """Unique keys that are there, and those to come that production's rows may have."""
        now = (*keys_of(want.table), *(k for k in partial_keys(want.table) if k and not want.refuted(k)))
        later = self.later.table.get(want.table.id) if self.later else None
        coming = [k for k in (keys_of(later) if later else ()) if k not in now and {*k} <= want.table.column.keys() and not want.refuted(k)]
        return (*now, *coming)

    def _foreign_keys(self, want: Want) -> tuple[Constraint, ...]:
        """Those to come first, for they will be checked; then the widest. What refers to partitions refers to the largest of them."""
        later = self.later.table.get(want.table.id) if self.later else None
        now = {fk.definition.replace(" NOT VALID", "") for fk in want.table.foreign_keys if fk.validated}
        every = {fk.definition: fk for fk in (*want.table.foreign_keys, *(later.foreign_keys if later else ()))}
        fitting = [fk for fk in every.values() if {*fk.columns} <= want.table.column.keys() and fk.references]
        fitting.sort(key=lambda fk: (fk.definition in now, -len(fk.columns), fk.name))
        return tuple(replace(fk, references=self._largest(fk.references)) for fk in fitting if fk.references)

    def _largest(self, table: ObjectId) -> ObjectId:
        while below := self.below.get(table):
            table = max(below, key=lambda t: (self.wants[t.id].rows if t.id in self.wants else -1, t.name)).id
        return table

    def table(self, conn: Connection, want: Want) -> None:
        """Fill one table, and note what became of it."""
        name = want.table.id
        wanted = want.rows
        try:
            with _unforced(conn, want.table):
                made = self._insert(conn, want) if want.rows else 0
                _restart(conn, self.catalog, want.table)
                conn.execute(f"VACUUM (ANALYZE) {name.sql()}".encode())
        except (Unfillable, psycopg.Error) as error:
            said = (error.diag.message_primary or str(error).strip()) if isinstance(error, psycopg.Error) else str(error)
            self.made.why[name] = said
            return
        self.made.rows[name] = made
        if made < wanted * 0.5:
            self.made.why[name] = f"only {made:,} of {wanted:,} rows could be made without breaking its keys"

    def mend(self, conn: Connection) -> None:
        """Take rows away whose foreign key leads to a row that could not be made."""
        for want in self.wants.values():
            for fk in want.foreign_keys:
                if fk.references in self.gaps and want.table.id not in self.made.why:
                    pairs = zip(fk.columns, fk.referenced_columns, strict=True)
                    same = " AND ".join(f"p.{quote(there)} = c.{quote(here)}" for here, there in pairs)
                    filled = " AND ".join(f"c.{quote(here)} IS NOT NULL" for here in fk.columns)
                    missing = f"NOT EXISTS (SELECT 1 FROM {fk.references.sql()} p WHERE {same})"
                    gone = conn.execute(f"DELETE FROM {want.table.id.sql()} c WHERE {filled} AND {missing}".encode()).rowcount
                    self.made.rows[want.table.id] -= gone

    def _insert(self, conn: Connection, want: Want) -> int:
        later = self.later.table.get(want.table.id) if self.later else None
        partition = conn.execute("SELECT pg_get_partition_constraintdef(%s::regclass)", [want.table.id.sql()]).fetchone()
        conditions = rules(want.table, later, self.catalog, (partition[0] if partition else "") or "")
        self.generator.columns(want)
        fitter = Fitter(conn, self.generator, want, conditions)
        every = fitter.fit()
        columns = self.generator.columns(want)
        if not columns:
            raise Unfillable("it has no column to fill")
        names = ", ".join(map(quote, columns))
        source = fitter.rows(columns) if every else fitter.passing(columns)
        risky = any(i.unique and (i.predicate or any(k.expression for k in i.keys)) for i in want.table.indexes) or any(
            c.kind == "exclude" for c in want.table.constraints
        )
        loose = risky and not any(c.deferrable for c in want.table.constraints if c.kind in ("primary key", "unique", "exclude"))
        text = f"INSERT INTO {want.table.id.sql()} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM ({source}) t"
        text += " ON CONFLICT DO NOTHING" * loose
        made, tried = _in_chunks(conn, text, want.rows, want.rows if every and not loose else _TRIES * want.rows, filtered=not every)
        if tried > made:
            self.gaps.add(want.table.id)
        return made


def _in_chunks(conn: Connection, text: str, wanted: int, last: int, *, filtered: bool) -> tuple[int, int]:
    """Insert until there are as many rows as wanted, or until as many as `last` have been tried; how many of each."""
    at, made, numbers = 0, 0, 0
    while made < wanted and at < last:
        size = min(_CHUNK, last - at, _CHUNK if filtered else wanted - made)
        sql = numbered(text, at + 1, at + size).replace("$LEFT", str(wanted - made)).replace("$MADE", str(numbers))
        count = conn.execute(sql.encode()).rowcount
        made, at, numbers = made + count, at + size, numbers + (size if "$MADE" in text and "ON CONFLICT" in text else count)
    return made, at


@contextlib.contextmanager
def _unforced(conn: Connection, table: Table) -> Iterator[None]:
    """While the table's owner is free of its row policies."""
    if table.force_row_security:
        conn.execute(f"ALTER TABLE {table.id.sql()} NO FORCE ROW LEVEL SECURITY".encode())
    yield
    if table.force_row_security:
        conn.execute(f"ALTER TABLE {table.id.sql()} FORCE ROW LEVEL SECURITY".encode())


def _restart(conn: Connection, catalog: Catalog, table: Table) -> None:
    """Let the table's own sequences go on after the rows that are there."""
    for sequence in catalog.sequences:
        owner = sequence.owned_by
        if owner and owner.owner == table.id:
            highest = f"SELECT max({quote(owner.part)})::bigint FROM {table.id.sql()}"
            name = literal(sequence.id.sql())
            conn.execute(f"SELECT setval({name}, m) FROM ({highest}) t (m) WHERE m BETWEEN 1 AND {sequence.maximum}".encode())
