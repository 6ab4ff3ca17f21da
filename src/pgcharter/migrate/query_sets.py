"""Recorded queries of releases, and whether each release still works after every transaction of a plan, on a scratch server with rows.

A folder holds `<release>/*.sql`: the statements of a release as it sends them. `$1` takes its sample values from a comment above the
statement, `-- values: 17, 'ada'`; each such line is one call. `rows.sql` beside the releases fills the tables before the plan, `gate.sql`
is what is done by hand before the contract phase (rows filled that only the application knows how to fill). Both name tables as they are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pgcharter.errors import PgcharterError, UsageError
from pgcharter.findings import Place
from pgcharter.names import quote
from pgcharter.plan.model import Phase, Plan, Step
from pgcharter.sources import Progress
from pgcharter.sqltext import Parsed, Statement, parse, walk

if TYPE_CHECKING:
    from pgcharter.catalog.model import Catalog
    from pgcharter.db import Connection
    from pgcharter.servers.scratch import Scratch, ScratchDatabase

_VALUES = re.compile(r"^[ \t]*--[ \t]*values:(?P<values>.*)$", re.MULTILINE)
_REFUSED = {
    "transaction_stmt": "transaction control, and each file is one transaction that is rolled back",
    "copy_stmt": "COPY, which has no rows here",
}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement of a release with its sample values."""

    sql: str
    place: Place
    calls: tuple[str, ...] = ()
    """Lists of values for `$1`, `$2`, … as SQL; empty for a statement without them."""


@dataclass(frozen=True)
class QuerySets:
    """What was recorded of both releases."""

    of: Mapping[str, tuple[tuple[Query, ...], ...]]
    """By release: its files, each of which is one transaction."""
    rows: str = ""
    gate: str = ""


def read(folder: Path, releases: Sequence[str]) -> QuerySets:
    """Read a folder of recorded queries. Raises UsageError for a release without any, and for what cannot be run as a query."""
    sets = {}
    for release in releases:
        files = sorted((folder / release).glob("*.sql"))
        sets[release] = tuple(q for q in (tuple(_queries(file)) for file in files) if q)
        if not sets[release]:
            raise UsageError(f"no queries of release {release} are recorded in {folder / release}", hint="write them to files named *.sql")
    return QuerySets(sets, _text(folder / "rows.sql"), _text(folder / "gate.sql"))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None


def _queries(file: Path) -> Iterator[Query]:
    parsed = parse(_text(file), str(file))
    if parsed.errors:
        raise UsageError(f"not SQL: {parsed.errors[0].message}", place=str(parsed.errors[0].place))
    end = 0
    for statement in parsed.statements:
        yield _query(statement, parsed, end)
        end = statement.offset + len(statement.text)


def _query(statement: Statement, parsed: Parsed, above: int) -> Query:
    if statement.kind in _REFUSED:
        raise UsageError(f"a set of queries cannot hold {_REFUSED[statement.kind]}", place=str(statement.place))
    calls = tuple(m["values"].strip() for m in _VALUES.finditer(parsed.text[above : statement.offset]))
    asks = any(kind == "ParamRef" for kind, _ in walk(statement.node))
    if asks and not calls:
        raise UsageError(
            "a statement with $1 has no sample values", hint="write them above it: -- values: 17, 'ada'", place=str(statement.place)
        )
    return Query(statement.text, statement.place, calls if asks else ())


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that a release sends and PostgreSQL refuses."""

    query: Query
    message: str
    sqlstate: str


@dataclass(frozen=True)
class Stage:
    """How the releases fare at one moment of the plan, when a transaction has ended."""

    number: int
    """0 before the plan."""
    title: str
    phase: Phase | None
    failures: Mapping[str, tuple[Failure, ...]]
    """By release, when its queries were run."""
    must: frozenset[str] = frozenset()
    """Releases that must work now."""

    def broken(self, release: str) -> bool:
        """Whether a release that must work does not."""
        return release in self.must and bool(self.failures[release])


@dataclass
class Trial:
    """One run of a plan with the queries of both releases."""

    database: ScratchDatabase
    plan: Plan
    sets: QuerySets
    paths: Mapping[str, str]
    """By release, the old one first: its `search_path` as SQL."""
    schema: str
    """Where the tables are."""
    role: str = ""
    """Role that the queries are run as; empty: the owner."""
    stages: list[Stage] = field(default_factory=list)

    def run(self, progress: Progress | None = None) -> None:
        """Fill the tables, look, and look again after every transaction. Raises PgcharterError when a step itself is refused."""
        blocks = list(self.plan.blocks())
        gate = _last_gate(blocks)
        ready = gate if gate is not None else len(blocks)
        self._by_hand("rows.sql", self.sets.rows)
        self._look("before the plan", None, self._must(-1, ready, gate))
        for number, block in enumerate(blocks):
            if progress:
                progress("running the queries", number, len(blocks))
            if number == gate:
                self._by_hand("gate.sql", self.sets.gate)
            self._steps(block)
            self._look(_title(block), block[0].phase, self._must(number, ready, gate))

    def _steps(self, block: Sequence[Step]) -> None:
        """Run the steps of a transaction; rows are filled in one go."""
        from pgcharter.migrate import proving

        for step in block:
            if step.phase is Phase.BACKFILL:
                self._by_hand(step.title, step.sql)
                continue
            try:
                proving.execute(self.database, [step.sql] if step.sql else [])
            except PgcharterError as error:
                raise PgcharterError(f"the plan cannot {step.title} with these rows: {error.message}", hint=step.sql) from None

    def _must(self, number: int, ready: int, gate: int | None) -> frozenset[str]:
        """The old release until the contract gate is passed, the new one from the end of what expands and fills."""
        old, new = self.paths
        return frozenset(([old] if gate is None or number <= gate else []) + ([new] if number >= ready - 1 else []))

    def _look(self, title: str, phase: Phase | None, must: frozenset[str]) -> None:
        failures = {release: tuple(self._failures(release)) for release in self.paths}
        self.stages.append(Stage(len(self.stages), title, phase, failures, must))

    def _failures(self, release: str) -> Iterator[Failure]:
        for queries in self.sets.of[release]:
            conn = self.database.conn
            with conn.transaction(force_rollback=True):
                conn.execute(f"SET LOCAL search_path = {self.paths[release]}".encode())
                if self.role:
                    conn.execute(f"SET LOCAL ROLE {quote(self.role)}".encode())
                yield from [f for query in queries if (f := _tried(conn, query))]

    def _by_hand(self, name: str, text: str) -> None:
        """Run what is done beside the plan, with the tables' own schema first."""
        import psycopg

        conn = self.database.conn
        for statement in parse(text, name).statements:
            try:
                with conn.transaction():
                    conn.execute(f"SET LOCAL search_path = {quote(self.schema)}".encode())
                    conn.execute(statement.text.encode())
            except psycopg.Error as error:
                raise PgcharterError(f"PostgreSQL refuses it: {_words(error)}", hint=statement.text, place=str(statement.place)) from None


def _last_gate(blocks: Sequence[Sequence[Step]]) -> int | None:
    """Place of the gate before the contract phase."""
    found = [i for i, block in enumerate(blocks) if block[0].gate and block[0].phase is Phase.CONTRACT]
    return found[-1] if found else None


def _title(block: Sequence[Step]) -> str:
    more = f" and {len(block) - 1} more" if len(block) > 1 else ""
    return block[0].title + more


def _tried(conn: Connection, query: Query) -> Failure | None:
    """Run a query with each of its sample values; what it did stays for the next of its transaction."""
    import psycopg

    try:
        with conn.transaction():
            for sql in _texts(query):
                conn.execute(sql.encode())
    except psycopg.Error as error:
        return Failure(query, _words(error), error.sqlstate or "")
    return None


def _texts(query: Query) -> Iterator[str]:
    if not query.calls:
        yield query.sql
        return
    name = f"pgcharter_{next(_numbers)}"
    yield f"PREPARE {name} AS {query.sql}"
    yield from (f"EXECUTE {name} ({values})" for values in query.calls)
    yield f"DEALLOCATE {name}"


def _words(error: Exception) -> str:
    diag = getattr(error, "diag", None)
    return (diag.message_primary if diag else None) or str(error).strip().splitlines()[0]


def tried(
    scratch: Scratch, before: Catalog, plan: Plan, sets: QuerySets, paths: Mapping[str, str], schema: str, role: str = "",
    progress: Progress | None = None,
) -> tuple[Stage, ...]:  # fmt: skip
    """Build `before` on a scratch database, fill it, and run the plan transaction by transaction with the queries of both releases."""
    from pgcharter.migrate import proving

    with scratch.database() as database:
        if role:
            database.create_role(role)
        proving.build(database, before)
        trial = Trial(database, plan, sets, paths, schema, role)
        trial.run(progress)
        return tuple(trial.stages)
