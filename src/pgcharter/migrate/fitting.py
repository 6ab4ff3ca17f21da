"""Values that check constraints, domains and partitions allow: tried out on the server, which alone knows what an expression means."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import psycopg

from pgcharter.catalog.model import Catalog, DataType, Table
from pgcharter.db import Connection
from pgcharter.migrate.generating import Generator, Unfillable, Want, named
from pgcharter.migrate.values import NOTHING, PLENTY, Make, Values, between, chosen
from pgcharter.names import quote

SAMPLE, PROOF = 300, 2000
"""Rows on which a candidate is tried, and on which the whole table is."""
RAREST = 0.02
"""Share of rows that must pass; the others are left out while the table is filled."""
_DENSE = '"number of the row"'
_CONSTANT = re.compile(r"'((?:[^']|'')*)'|(?<![\w.$\"])(\d+(?:\.\d+)?)(?![\w.\"])")
_VALUE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bVALUE\b")
_LETTERS = "chr({first} + ({{k}} / 17576 % 26)::int) || chr({first} + ({{k}} / 676 % 26)::int) || chr({first} + ({{k}} / 26 % 26)::int)"
_LETTERS += " || chr({first} + ({{k}} % 26)::int)"
_PATTERNS = (
    "lpad({k}::text, SIZE, '0')", "lpad({k}::text, SIZE, '1')", "left(md5({k}::text), SIZE)", "upper(left(md5({k}::text), SIZE))",
    f"right({_LETTERS.format(first=65)}, SIZE)", f"right({_LETTERS.format(first=97)}, SIZE)", "rpad('x' || {k}, SIZE, 'x')",
    "'user' || {k} || '@example.org'", "'a' || {k}", "'A' || {k}", "'https://example.org/' || {k}", "'+4366' || lpad({k}::text, 8, '0')",
    "'slug-' || {k}", "'#' || lpad(to_hex({k} % 16777216), 6, '0')", "'1.0.' || {k}", "md5({k}::text)::uuid::text",
    "'AT' || lpad({k}::text, 18, '0')", "'2026-01-' || lpad((1 + {k} % 28)::text, 2, '0')", "lpad(({k} % 24)::text, 2, '0') || ':30'",
    "'Name'", "'v' || {k}", "'X-' || lpad({k}::text, 6, '0')", "'www' || {k} || '.example.org'", "'/' || {k}", "{k}::text", "''",
)  # fmt: skip
"""Texts of usual forms, for regular expressions and lengths; SIZE is each number that the constraint names."""


@dataclass(frozen=True)
class Rule:
    """A condition that every row must meet, as a boolean expression over the table's columns."""

    name: str
    sql: str
    columns: tuple[str, ...]


def rules(table: Table, later: Table | None, catalog: Catalog, partition: str) -> list[Rule]:
    """What rows must be like: by check constraints that are there or yet to come, by domains, and to be in the partition."""
    found = {c.name: Rule(f"check constraint {c.name}", c.expression, c.columns or tuple(named(c.expression, table))) for c in table.checks}
    for c in later.checks if later else ():
        if c.enforced and {*c.columns} <= table.column.keys():
            found.setdefault(c.name, Rule(f"check constraint {c.name}", c.expression, c.columns or tuple(named(c.expression, table))))
    made = list(found.values())
    made += [Rule(f"domain {d}", sql, (column,)) for column, d, sql in _domains(table, catalog)]
    return made + [Rule("its partition's bounds", partition, tuple(named(partition, table)))] * bool(partition)


def _domains(table: Table, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    for column in table.columns:
        kind: DataType | None = column.type
        while kind is not None and not kind.array and (domain := catalog.type.get((kind.schema, kind.name))) and domain.kind == "domain":
            for c in domain.constraints:
                if c.expression:
                    yield column.name, domain.name, _VALUE.sub(lambda m, n=column.name: quote(n) if m[0] == "VALUE" else m[0], c.expression)  # type: ignore[misc]
            kind = domain.base


class Fitter:
    """Finds values for one table until its rows pass."""

    def __init__(self, conn: Connection, generator: Generator, want: Want, conditions: Iterable[Rule]) -> None:
        self.conn = conn
        self.generator = generator
        self.want = want
        self.rules = list(conditions)

    def fit(self) -> bool:
        """Choose values for columns that need others than their type's; whether every row passes then. Raises Unfillable."""
        if not self.rules:
            return True
        for rule in self.rules:
            if self.share([rule], self.generator.columns(self.want), SAMPLE) < 1:
                self._mend(rule)
        passed = self.share(self.rules, self.generator.columns(self.want), PROOF)
        if passed < RAREST:
            raise Unfillable(f"no rows were found that {self._worst()} allows")
        return passed == 1

    def _worst(self) -> str:
        columns = self.generator.columns(self.want)
        return min(self.rules, key=lambda r: self.share([r], columns, SAMPLE)).name

    def share(self, conditions: Iterable[Rule], columns: Mapping[str, Make], size: int) -> float:
        """Share of the first rows that meet all conditions."""
        text = f"SELECT count(*) FILTER (WHERE {met(conditions)}) / {size}::float8 FROM ({self.rows(columns)}) t"
        found = self.conn.execute(numbered(text, 1, size).encode()).fetchone()
        return float(found[0]) if found else 0.0

    def rows(self, columns: Mapping[str, Make], without: Collection[str] = ()) -> str:
        """A query for the rows between two numbers, in the table's own types, domains looked through."""
        table, catalog = self.want.table, self.generator.catalog
        made = [f"{columns[c.name]('i')}::{bare(c.type, catalog)} AS {quote(c.name)}" for c in table.columns if c.name in columns]
        rest = [c for c in table.columns if c.name not in columns and c.name not in without and not c.generated]
        made += [f"({c.default or 'NULL'})::{bare(c.type, catalog)} AS {quote(c.name)}" for c in rest]
        inner = f"SELECT {', '.join(made)} FROM generate_series($FROM, $TO) AS g(i)"
        computed = [f"({c.default}) AS {quote(c.name)}" for c in table.columns if c.generated]
        return f"SELECT *, {', '.join(computed)} FROM ({inner} OFFSET 0) r" if computed else f"{inner} OFFSET 0"

    def passing(self, columns: Mapping[str, Make]) -> str:
        """The same with only those rows that meet the conditions; keys are numbered afterwards, so that no number is left out."""
        asked = {c for r in self.rules for c in r.columns}
        asked |= {n for c in self.want.table.columns if c.generated for n in named(c.default, self.want.table)}
        late = {c for key in self.want.keys for c in key} & columns.keys() - asked
        inner = (
            f"SELECT * FROM ({self.rows({n: m for n, m in columns.items() if n not in late}, late)}) r WHERE {met(self.rules)} LIMIT $LEFT"
        )
        made = [f"{m(_DENSE)}::{bare(self.want.table.column[n].type, self.generator.catalog)} AS {quote(n)}" if n in late else quote(n)
                for n, m in columns.items()]  # fmt: skip
        return f"SELECT {', '.join(made)} FROM (SELECT *, ($MADE + row_number() OVER ())::bigint AS {_DENSE} FROM ({inner}) f) d"

    def _mend(self, rule: Rule) -> None:
        """Choose other values for a column that the rule speaks of: those under which most rows pass."""
        best, usual = 0.0, self.generator.columns(self.want)
        before = self.share([rule], usual, SAMPLE)
        for name in rule.columns:
            others = [r for r in self.rules if r is not rule and name in r.columns]
            fewest = self.want.rows if (name,) in self.want.keys else 1
            for candidate in self._candidates(rule, name, usual):
                passed = self._tried([rule], {**usual, name: _at(candidate)}, SAMPLE)
                if passed <= 1.2 * before or candidate.capacity * passed < fewest:
                    continue
                kept = self._tried(others, {**usual, name: _at(candidate)}, SAMPLE) if others and passed == 1 else 1.0
                if passed * (0.5 + kept / 2) > best:
                    best = passed * (0.5 + kept / 2)
                    self.want.chosen[name] = candidate
                if best == 1:
                    return

    def _candidates(self, rule: Rule, name: str, usual: Mapping[str, Make]) -> Iterator[Values]:
        """Other values for a column: ranges between the rule's numbers and dates, its texts that pass, texts of usual forms."""
        column = self.want.table.column.get(name)
        if column is None or column.generated:
            return
        kind, needed = _base(column.type, self.generator.catalog), self.want.distinct(name) or self.want.rows
        constants = [(text.replace("''", "'"), True) if not number else (number, False) for text, number in _CONSTANT.findall(rule.sql)]
        yield from _ranges(kind, constants, needed)
        passing = [c for c in dict.fromkeys(_literals(kind, constants)) if self._tried([rule], {**usual, name: lambda _, c=c: c}, 5) > 0]  # type: ignore[misc]
        listed = chosen(tuple(passing[:200]), kind) if passing else None
        if listed and "= ANY" in rule.sql:
            yield listed
        if kind.basic in ("text", "varchar", "bpchar", "citext") and not kind.array:
            sizes = list(dict.fromkeys([*(n for n in re.findall(r"\d+", rule.sql) if 0 < int(n) < 200), "3", "2"]))
            yield from (_pattern(f, size) for f in _PATTERNS for size in (sizes if "SIZE" in f else ("0",)))
        if kind.basic == "bytea" and not kind.array:
            sizes = list(dict.fromkeys(n for n in re.findall(r"\d+", rule.sql) if 0 < int(n) < 2000))
            yield from (Values(lambda k, n=n: f"decode(lpad(to_hex({k}), {2 * int(n)}, '0'), 'hex')") for n in sizes)  # type: ignore[misc]
        if listed:
            yield listed
        if not column.not_null:
            yield NOTHING

    def _tried(self, conditions: Iterable[Rule], columns: Mapping[str, Make], size: int) -> float:
        """The share of rows that pass; none where the values are none of the column's type."""
        try:
            return self.share(conditions, columns, size)
        except psycopg.Error:
            return 0.0


def _pattern(form: str, size: str) -> Values:
    text, room = form.replace("SIZE", size), 26 ** min(int(size), 4) if "chr(" in form else 10 ** min(int(size), 9)
    room = room if "SIZE" in form else PLENTY if "{k}" in form else 1
    return Values(lambda k: f"({text.replace('{k}', f'({k})')})", room)


def _at(candidate: Values) -> Make:
    return lambda i: candidate.make(f"(({i} - 1) % {candidate.capacity})")


def met(conditions: Iterable[Rule]) -> str:
    """All conditions as one: a check constraint is met unless it is false."""
    return " AND ".join(f"({r.sql}) IS NOT FALSE" for r in conditions) or "true"


def numbered(text: str, first: int, last: int) -> str:
    """The query of `Fitter.rows` for the rows from `first` to `last`."""
    return text.replace("$FROM", f"{first}::bigint").replace("$TO", f"{last}::bigint")


def _ranges(kind: DataType, constants: list[tuple[str, bool]], needed: int) -> Iterator[Values]:
    """Ranges between the constants of a rule, and above and below them."""
    timed = kind.basic in ("date", "timestamp", "timestamptz")
    if timed:
        points = sorted({text for text, quoted in constants if quoted and re.match(r"\d{4}-\d\d-\d\d", text)})
        points = [*points, *(f"{int(p[:4]) + 1:04}{p[4:10]}".replace("-02-29", "-02-28") for p in points)]
        points += [f"{int(p[:4]) - 1:04}{p[4:10]}".replace("-02-29", "-02-28") for p in points[:1]]
        pairs = [(a, b) for a in points for b in points if a < b]
    else:
        numbers = sorted({float(text) for text, _ in constants if re.fullmatch(r"-?\d+(\.\d+)?", text)})
        ends = sorted({*numbers, *(n + 1 for n in numbers), *(-n for n in numbers), *((n + 1) * 1000 for n in numbers), 0.0})
        pairs = [(repr(a), repr(b)) for a in ends for b in reversed(ends) if a < b]
    for low, high in pairs[:60]:
        found = between(kind, low, high, needed)
        if found:
            yield found


def _literals(kind: DataType, constants: list[tuple[str, bool]]) -> Iterator[str]:
    from pgcharter.names import literal

    for text, _ in constants:
        yield f"{literal(text)}::{kind.sql}"
    if kind.basic in ("bool",):
        yield from ("true", "false")


def bare(kind: DataType, catalog: Catalog) -> str:
    """A type as SQL writes it, domains looked through, so that no domain refuses what is only being tried."""
    return _base(kind, catalog).sql


def _base(kind: DataType, catalog: Catalog) -> DataType:
    while not kind.array and (domain := catalog.type.get((kind.schema, kind.name))) and domain.kind == "domain" and domain.base:
        kind = domain.base
    return kind
