"""Tables beside the live ones: made like them, compared with them row by row, and what differs carried over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import UsageError
from pgcharter.names import quote
from pgcharter.runtime.projections import SQL, Into, Projection, named

_SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Twin:
    """A table and the one beside it."""

    table: str
    """schema.name, as the projection has it."""
    live: str
    """The same as SQL."""
    beside: str
    columns: tuple[str, ...]
    """Those that are written, quoted."""
    key: tuple[str, ...]
    """The primary key's, quoted."""

    def row(self, alias: str) -> str:
        """All of a row as text."""
        return f"ROW({', '.join(f'{alias}.{c}' for c in self.columns)})::text"

    def same_key(self) -> str:
        """That `l`, live, and `b`, beside, have the same key."""
        return " AND ".join(f"l.{k} = b.{k}" for k in self.key)


@dataclass(frozen=True, slots=True)
class Compared:
    """A table and the one beside it, compared."""

    table: str
    rows: int
    """Of the live one."""
    other_rows: int
    checksum: str
    other_checksum: str
    missing: int
    """Rows that should be there and are not."""
    extra: int
    different: int
    keys: tuple[str, ...]
    """Keys of some rows that differ."""

    @property
    def equal(self) -> bool:
        """Whether they hold the same."""
        return not (self.missing or self.extra or self.different)


def _known(projection: Projection) -> Steps[list[Twin]]:
    """The live tables. Raises UsageError for one that is not there, or cannot be compared."""
    twins = []
    for table in projection.tables:
        live = named(table)
        rows = yield Query(SQL["columns"], (live,))
        oid = (yield Query(SQL["oid"], (live,)))[0][0]
        if oid is None:
            raise UsageError(f"table {table} of projection {projection.name} is not there", hint="a migration makes it")
        drawn = [name for name, identity, _, _ in rows if identity]
        if drawn or not any(row[3] for row in rows):
            what = f"draws {drawn[0]} from a sequence" if drawn else "has no primary key"
            raise UsageError(
                f"table {table} of projection {projection.name} {what}, so it cannot be made again the same",
                hint="give it a primary key of values that events have",
            )
        twins.append(
            Twin(
                table, live, f'pgcharter."rebuild_{oid}"', tuple(quote(r[0]) for r in rows if not r[2] and r[0] not in projection.left_out),
                tuple(quote(r[0]) for r in rows if r[3]),
            )
        )  # fmt: skip
    return twins


@flow
def known(projection: Projection) -> Steps[list[Twin]]:
    """The tables of a projection, and what those beside them are called. Raises UsageError for one that cannot be made again."""
    return (yield from _known(projection))


@flow
def made(twins: Sequence[Twin], *, temporary: bool = False) -> Steps[Into]:
    """Make the tables beside, empty; temporary ones for this transaction alone."""
    names = {}
    for twin in twins:
        name = twin.beside.replace("pgcharter.", "pg_temp.") if temporary else twin.beside
        how = "CREATE TEMPORARY TABLE" if temporary else "CREATE TABLE"
        drop = " ON COMMIT DROP" if temporary else ""
        like = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING INDEXES"
        yield Query(f"DROP TABLE IF EXISTS {name}")
        yield Query(f"{how} {name} (LIKE {twin.live} {like}){drop}")
        names[twin.table] = name
    return Into(names)


@flow
def there(twins: Iterable[Twin]) -> Steps[Into | None]:
    """The tables beside, where all of them are there."""
    names = {twin.table: twin.beside for twin in twins}
    for name in names.values():
        if (yield Query(SQL["oid"], (name,)))[0][0] is None:
            return None
    return Into(names)


@flow
def gone(twins: Iterable[Twin]) -> Steps[None]:
    """Drop the tables beside."""
    for twin in twins:
        yield Query(f"DROP TABLE IF EXISTS {twin.beside}")


@flow
def compared(twins: Sequence[Twin], into: Into) -> Steps[list[Compared]]:
    """Compare each live table with the one beside it. A checksum is the sum of 64 bits of each row's text."""
    found = []
    for t in twins:
        beside = into(t.table)
        sums = []
        for name in (t.live, beside):
            sum_ = f"COALESCE(sum(pg_catalog.hashtextextended({t.row('l')}, 0)::numeric), 0)::text"
            sums.append((yield Query(f"SELECT count(*), {sum_} FROM {name} l"))[0])
        rows: tuple[int, int, int] = (0, 0, 0)
        keys: list[str] = []
        if sums[0] != sums[1]:
            first = t.key[0]
            pairs = f"FROM {t.live} l FULL JOIN {beside} b ON {t.same_key()} WHERE {t.row('l')} IS DISTINCT FROM {t.row('b')}"
            either = ", ".join(f"COALESCE(l.{k}, b.{k})" for k in t.key)
            counts = f"count(*) FILTER (WHERE l.{first} IS NULL), count(*) FILTER (WHERE b.{first} IS NULL), count(*)"
            missing, extra, all_ = (yield Query(f"SELECT {counts} {pairs}"))[0]
            rows = (missing, extra, all_ - missing - extra)
            keys = [row[0] for row in (yield Query(f"SELECT ROW({either})::text {pairs} ORDER BY 1 LIMIT {_SAMPLE}"))]
        found.append(Compared(t.table, *_pairs(sums), *rows, tuple(keys)))
    return found


def _pairs(sums: Sequence[tuple[int, str]]) -> tuple[int, int, str, str]:
    (rows, checksum), (other_rows, other) = sums
    return rows, other_rows, checksum, other


@flow
def carried_over(twins: Sequence[Twin], into: Into) -> Steps[int]:
    """Make the live tables as those beside are, touching only rows that differ; how many were written.

    Readers see the one or the other. What foreign keys, privileges, row policies and triggers there are on the live tables stays.
    """
    written = 0
    for t in reversed(twins):
        same = f"SELECT FROM {into(t.table)} b WHERE {t.same_key()} AND {t.row('b')} = {t.row('l')}"
        gone = f"DELETE FROM {t.live} l WHERE NOT EXISTS ({same}) RETURNING 1"
        written += (yield Query(f"WITH gone AS ({gone}) SELECT count(*) FROM gone"))[0][0]
    for t in twins:
        columns = ", ".join(t.columns)
        values = ", ".join(f"b.{c}" for c in t.columns)
        there = f"SELECT FROM {t.live} l WHERE {t.same_key()}"
        new = f"INSERT INTO {t.live} ({columns}) SELECT {values} FROM {into(t.table)} b WHERE NOT EXISTS ({there}) RETURNING 1"
        written += (yield Query(f"WITH new AS ({new}) SELECT count(*) FROM new"))[0][0]
    return written
