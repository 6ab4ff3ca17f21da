"""A look at the rows of a live database: which columns follow from others. Kept to a budget, read only, and it brings home counts alone."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from pgcharter.catalog.model import Catalog, Column, Derivation, FunctionalDependency, Samples, Stats, Table
from pgcharter.catalog.reading import Reading
from pgcharter.db import Connection
from pgcharter.db.queries import load
from pgcharter.findings import Gap
from pgcharter.names import ObjectId, quote
from pgcharter.rules import copies
from pgcharter.sources import Look
from pgcharter.sources.live_cluster import some

SAMPLE = 20_000
"""Rows looked at in one table."""
FEWEST = 500
"""Tables and samples with fewer rows prove nothing."""
_PAIRS, _FIGURES = 60, 7
"""Most pairs of columns, and most columns of numbers, that are tried in one table."""
_BERNOULLI_UP_TO = 500_000
"""Tables with more rows are sampled by page, smaller ones by row."""
_SQL = load("pgcharter.sources", "sampling.sql")


def look(seconds: float) -> Look:
    """A Look that spends at most `seconds` on samples of rows, and states what it did not get to."""

    def sample(conn: Connection, reading: Reading) -> Reading:
        if reading.catalog is None or reading.stats is None:
            return reading
        work = _Work(conn, reading.catalog, reading.stats, time.monotonic() + seconds, seconds)
        work.run()
        stats = replace(reading.stats, samples=work.samples())
        return replace(reading, stats=stats, gaps=tuple(dict.fromkeys((*reading.gaps, *work.gaps()))))

    return sample


@dataclass(frozen=True)
class _Known:
    """What the planner's statistics say about a column."""

    distinct: float
    nulls: float
    commonest: float
    readable: bool


@dataclass(frozen=True)
class _Task:
    """What is worth trying in one table."""

    table: Table
    rows: float
    pairs: tuple[tuple[Column, Column], ...]
    figures: tuple[Column, ...]


@dataclass
class _Work:
    """One look in progress."""

    conn: Connection
    catalog: Catalog
    stats: Stats
    deadline: float
    seconds: float
    dependencies: list[FunctionalDependency] = field(default_factory=list)
    derivations: list[Derivation] = field(default_factory=list)
    looked: int = 0
    rows: int = 0
    missed: dict[str, list[ObjectId]] = field(default_factory=lambda: defaultdict(list))

    def samples(self) -> Samples:
        """What was found so far."""
        return Samples(self.looked, self.rows, tuple(self.dependencies), tuple(self.derivations))

    def gaps(self) -> tuple[Gap, ...]:
        """What was not looked at, by reason."""
        return tuple(Gap(f"rows of {some(tables)}", why) for why, tables in self.missed.items())

    def run(self) -> None:
        """Look at the tables, the largest first, until all are done or the time is used up."""
        wanted = [t for t in self.catalog.root_tables if t.kind in ("table", "partitioned table") and not copies.keeps_copies(t)]
        try:
            known = self._known()
        except psycopg.Error as error:
            self._miss([t.id for t in wanted], _reason(error))
            return
        tasks = sorted(filter(None, (self._task(t, known.get(t.id, {})) for t in wanted)), key=lambda t: (-t.rows, t.table.id))
        for number, task in enumerate(tasks):
            if time.monotonic() >= self.deadline:
                self._miss([t.table.id for t in tasks[number:]], f"the {self.seconds:g} s for samples were used up")
                return
            try:
                self._look_at(task)
            except psycopg.Error as error:
                if self.conn.closed:
                    self._miss([t.table.id for t in tasks[number:]], "the connection was lost")
                    return
                self._miss([task.table.id], _reason(error))

    def _miss(self, tables: Sequence[ObjectId], why: str) -> None:
        if tables:
            self.missed[why] += tables

    def _ask(self, *queries: str) -> Iterator[list[tuple[Any, ...]]]:
        """Answers to queries in one short transaction that is rolled back, each within its share of what is left of the budget."""
        left = self.deadline - time.monotonic()
        share = max(50, int(1000 * min(left, max(0.2, self.seconds / 4))))
        with self.conn.transaction(force_rollback=True), self.conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_SQL["prepare"].encode(), (str(share),))
            for query in queries:
                yield cursor.execute(query.encode()).fetchall()

    def _known(self) -> Mapping[ObjectId, Mapping[str, _Known]]:
        """What statistics say, by table and column; nothing about columns that were never analysed."""
        found: dict[ObjectId, dict[str, _Known]] = defaultdict(dict)
        seen, unreadable = self._ask(_SQL["columns"], _SQL["unreadable"])
        for schema, table, column, inherited, distinct, nulls, commonest in seen:
            address = ObjectId("table", schema, table)
            whole = self.catalog.table.get(address)
            if whole is not None and inherited is (whole.kind == "partitioned table"):
                found[address][column] = _Known(distinct, nulls, commonest, readable=True)
        for schema, table, column in unreadable:
            found[ObjectId("table", schema, table)][column] = _Known(0, 0, 0, readable=False)
        return found

    def _task(self, table: Table, known: Mapping[str, _Known]) -> _Task | None:
        """What to try in a table; None when there is nothing, or nothing can be seen."""
        stats = self.stats.relations.get(table.id)
        rows = stats.rows if stats else -1
        determinants, dependents = list(copies.determinants(table)), list(copies.dependents(table))
        figures = list(copies.figures(table))
        able = {c.name for c in (*determinants, *dependents, *figures)}
        if not (determinants and dependents) and len(figures) < 3:
            return None
        if any((k := known.get(name)) is not None and not k.readable for name in able):
            self._miss([table.id], "the role may not read all of its rows and columns")
            return None
        if 0 <= rows < FEWEST or (rows < 0 and stats is not None and stats.live < FEWEST and not self._is_filled(table)):
            return None
        if rows < 0 or all(known.get(name) is None for name in able):
            self._miss([table.id], "never analysed, so it is not known what is worth a look: ANALYZE first")
            return None
        pairs = tuple(itertools.islice(_worth(determinants, dependents, known, rows), _PAIRS))
        numbers = tuple(c for c in figures if (k := known.get(c.name)) and k.nulls < 0.9 and k.commonest < 0.95)[:_FIGURES]
        return _Task(table, rows, pairs, numbers if len(numbers) >= 3 else ()) if pairs or len(numbers) >= 3 else None

    def _is_filled(self, table: Table) -> bool:
        """Whether the partitions of a table hold rows: of the table itself nothing is counted."""
        parts = [self.stats.relations.get(p.id) for p in self.catalog.partitions.get(table.id, ())]
        return sum(max(p.rows, p.live) for p in parts if p) >= FEWEST

    def _look_at(self, task: _Task) -> None:
        if task.pairs:
            ((answer,),) = (rows for rows in self._ask(_pairs_query(task)))
            counts = [int(n) for n in answer]
            self.rows += counts[0]
            self.dependencies += _dependencies(task, counts[1:])
        if task.figures:
            self.derivations += self._derived(task)
        self.looked += 1

    def _derived(self, task: _Task) -> Iterator[Derivation]:
        """Sums and products among the figures: those that hold in a few rows are tried in many."""
        triples = list(_triples(task))
        ((few,),) = (rows for rows in self._ask(_figures_query(task, triples, 200)))
        left = [t for t, (held, telling) in zip(triples, _couples(few), strict=True) if held and telling]
        if not left:
            return
        ((many,),) = (rows for rows in self._ask(_figures_query(task, left, SAMPLE)))
        for (column, operator, a, b), (held, telling) in zip(left, _couples(many), strict=True):
            if held >= FEWEST and telling >= FEWEST / 5:
                yield Derivation(task.table.id, column.name, operator, a.name, b.name, held, telling)


def _worth(
    determinants: Sequence[Column], dependents: Sequence[Column], known: Mapping[str, _Known], rows: float
) -> Iterator[tuple[Column, Column]]:
    """Pairs in which the first has several rows for each value, and no fewer values than the second. Counts of values are estimates."""

    def distinct(column: Column) -> float:
        seen = known.get(column.name)
        if seen is None or seen.nulls > 0.9 or seen.commonest > 0.95:
            return 0
        return seen.distinct if seen.distinct >= 0 else -seen.distinct * rows

    able = sorted(((distinct(c), c.position, c) for c in determinants if 8 <= distinct(c) <= rows / 3), key=lambda d: d[:2])
    for values, _, one in able:
        for other in dependents:
            if other.name != one.name and 3 <= distinct(other) <= 1.5 * values + 5:
                yield one, other


def _columns(pairs: Sequence[tuple[Column, Column]]) -> list[Column]:
    return list(dict.fromkeys(c for pair in pairs for c in pair))


def _pairs_query(task: _Task) -> str:
    """One row: how many rows, then for each pair rows with both, and distinct values of the first, the second and both together."""
    number = {c.name: n for n, c in enumerate(_columns(task.pairs))}
    values = [f"{_hashed(c)} as v{number[c.name]}" for c in _columns(task.pairs)]
    answers = ["count(*)"]
    for one, other in task.pairs:
        a, b = f"v{number[one.name]}", f"v{number[other.name]}"
        both = _SQL["both"].format(one=a, other=b)
        only_a = "" if other.not_null else f" filter (where {b} is not null)"
        only_b = "" if one.not_null else f" filter (where {a} is not null)"
        answers += [f"count({both})", f"count(distinct {a}){only_a}", f"count(distinct {b}){only_b}", f"count(distinct {both})"]
    return _query(task, answers, values, SAMPLE)


def _hashed(column: Column) -> str:
    form = "whole" if column.type.basic in ("int2", "int4", "int8") else "hashed"
    return _SQL[form].format(column=quote(column.name))


def _dependencies(task: _Task, counts: Sequence[int]) -> Iterator[FunctionalDependency]:
    """Pairs that hold without exception and on enough evidence: many rows for a value, values enough on both sides."""
    for (one, other), (rows, values, outcomes, both) in zip(task.pairs, _fours(counts), strict=True):
        if both == values and rows >= FEWEST and values >= 8 and outcomes >= 4 and rows >= 3 * values:
            yield FunctionalDependency(task.table.id, one.name, other.name, rows, values, outcomes)


def _fours(counts: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    return zip(counts[::4], counts[1::4], counts[2::4], counts[3::4], strict=True)


def _triples(task: _Task) -> Iterator[tuple[Column, str, Column, Column]]:
    for column in task.figures:
        others = [c for c in task.figures if c is not column]
        for a, b in itertools.combinations(others, 2):
            yield column, "*", a, b
            yield column, "+", a, b


def _figures_query(task: _Task, triples: Sequence[tuple[Column, str, Column, Column]], limit: int) -> str:
    """For each triple: rows with all three filled, or 0 when it fails in one of them; and rows in which both operands matter."""
    number = {c.name: n for n, c in enumerate(task.figures)}
    values = [f"{quote(c.name)}::pg_catalog.numeric as v{number[c.name]}" for c in task.figures]
    answers = []
    for column, operator, left, right in triples:
        c, a, b = (f"v{number[x.name]}" for x in (column, left, right))
        scale = column.type.scale if column.type.basic == "numeric" else 0
        result = f"{a} {operator} {b}" if scale is None else f"pg_catalog.round({a} {operator} {b}, {scale})"
        dull = "(0, 1)" if operator == "*" else "(0)"
        answers.append(f"case when bool_and({c} = {result}) then count({c} + {a} + {b}) else 0 end")
        answers.append(f"count({c}) filter (where {a} not in {dull} and {b} not in {dull})")
    return _query(task, answers, values, limit)


def _couples(counts: Sequence[Any]) -> Iterator[tuple[int, int]]:
    numbers = [int(n) for n in counts]
    return zip(numbers[::2], numbers[1::2], strict=True)


def _query(task: _Task, answers: Sequence[str], values: Sequence[str], limit: int) -> str:
    method = ""
    if task.rows > SAMPLE * 1.25:
        kind = "bernoulli" if task.rows <= _BERNOULLI_UP_TO else "system"
        method = f"tablesample {kind} ({100 * SAMPLE / task.rows:.6f}) repeatable (1)"
    return _SQL["sample"].format(
        answers=", ".join(answers), values=", ".join(values), table=task.table.id.sql(), method=method, limit=limit + limit // 2
    )


_REASONS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (psycopg.errors.QueryCanceled, "a sample took longer than its share of the time"),
    (psycopg.errors.LockNotAvailable, "another session holds a lock on it"),
    (psycopg.errors.InsufficientPrivilege, "the role may not read all of its rows and columns"),
    (psycopg.errors.UndefinedTable, "dropped meanwhile"),
)


def _reason(error: psycopg.Error) -> str:
    """Why a sample could not be taken; of an error only its code, for its text could hold a value of the data."""
    return next((why for kind, why in _REASONS if isinstance(error, kind)), f"PostgreSQL refused ({error.sqlstate or 'connection lost'})")
