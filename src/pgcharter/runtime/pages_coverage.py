"""Whether an index serves the order of a query, asked of the planner; the index that would, where none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pgcharter.db.flows import Query, Steps, flow
from pgcharter.errors import PgcharterError
from pgcharter.names import quote
from pgcharter.runtime.pages_after import Direction
from pgcharter.runtime.pages_sql import Listing

_OTHERWISE = ("enable_sort", "enable_incremental_sort", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")
"""What the planner is told to avoid, so that it sorts only where nothing else is left, however small the tables are."""
_READ = Query(f"SELECT {', '.join(f'current_setting({name!r})' for name in _OTHERWISE)}")
_SET = f"SELECT {', '.join(f'set_config({name!r}, %s, true)' for name in _OTHERWISE)}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the planner says of an order."""

    covered: bool
    order: str
    """The order, with what breaks its ties."""
    index: str = ""
    """The index that gives it."""
    hint: str = ""
    """`CREATE INDEX …`, where one index can give it."""

    def __str__(self) -> str:
        if self.covered:
            return f"index {self.index} gives the order {self.order}"
        return f"no index gives the order {self.order}: every page reads and sorts all rows"


class UncoveredError(PgcharterError):
    """No index serves the order of a query; `coverage` is what was found."""

    def __init__(self, found: Coverage) -> None:
        super().__init__(str(found), hint=found.hint)
        self.coverage = found


class UncoveredWarning(UserWarning):
    """The same where it does not raise."""


@flow
def coverage(query: Any, tie: Sequence[Any] = ()) -> Steps[Coverage]:
    """Which index serves the order of a `select()` or a `Listing`, or what CREATE INDEX would.

    The statement is planned, not run. Raises what `Pager.page` raises for a query that cannot be read in pages.
    """
    sql, parameters, order, fixed = _asked(query, tie)
    before = yield _READ
    yield Query(_SET, ("off",) * len(_OTHERWISE))
    answer = yield Query(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}", parameters)
    yield Query(_SET, before[0])
    return _read(answer[0][0][0]["Plan"], order, fixed)


def is_async(conn: Any) -> bool:
    """Whether a connection or session is awaited."""
    return any(c.__name__ in ("AsyncConnection", "AsyncSession") for c in type(conn).__mro__)


Ordered = list[tuple[str, str, Direction]]
"""Each part: its table (empty: not known), its expression inside that table, and which way it goes."""


def _asked(query: Any, tie: Sequence[Any]) -> tuple[str, Any, Ordered, list[str]]:
    """The statement of a first page, its parameters, its order, and columns that its WHERE fixes."""
    if isinstance(query, Listing):
        sql, parameters = query.statement(None, 21)
        return sql if parameters else sql.replace("%%", "%"), parameters, [("", k.expression, k.direction) for k in query.keys], []
    from pgcharter.runtime.pages_explain import asked

    return asked(query, tie)


def _read(plan: dict[str, Any], order: Ordered, fixed: list[str]) -> Coverage:
    told = ", ".join(_word(*part) for part in order)
    node, sorts = plan, False
    while True:
        sorts = sorts or "Sort" in node["Node Type"]
        if node.get("Index Name") and not sorts:
            return Coverage(True, told, node["Index Name"])
        inside = [n for n in node.get("Plans", ()) if n["Parent Relationship"] in ("Outer", "Member", "Subquery")]
        if not inside:
            break
        node = inside[0]
    table = f"{quote(node['Schema'])}.{quote(node['Relation Name'])}" if "Relation Name" in node else ""
    return Coverage(False, told, hint=_advice(table, order, fixed))


def _advice(table: str, order: Ordered, fixed: list[str]) -> str:
    tables = {of for of, _, _ in order if of}
    if len(tables) > 1:
        return (
            f"the order goes over {' and '.join(sorted(tables))}, and an index is of one table: keep what it is ordered by in one of them"
        )
    named = next(iter(tables), table)
    if not named:
        return ""
    ways = [way for _, _, way in order]
    backward = all(way.descending and way.nulls_first for way in ways)  # an index is read both ways
    parts = [_word("", text, way.reverse if backward else way) for _, text, way in order]
    return f"CREATE INDEX CONCURRENTLY ON {named} ({', '.join((*(f for f in fixed if f not in parts), *parts))})"


def _word(_table: str, expression: str, way: Direction) -> str:
    usual = way.descending == way.nulls_first
    nulls = "" if usual else " NULLS FIRST" if way.nulls_first else " NULLS LAST"
    return f"{expression}{' DESC' if way.descending else ''}{nulls}"
