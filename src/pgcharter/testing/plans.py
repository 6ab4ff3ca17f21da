"""What the planner makes of a query, in tests whose tables are small: whether an index can serve it, not whether it does on ten rows."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgcharter.db.flows import Query, flow

if TYPE_CHECKING:
    from sqlalchemy.sql import ClauseElement

    Sql = str | ClauseElement

_OFF = "SET LOCAL enable_seqscan = off"
_BEFORE = "SELECT current_setting('enable_seqscan')"
Parameters = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A plan of the planner's."""

    text: str
    """As EXPLAIN shows it."""
    root: Mapping[str, Any] = field(repr=False)
    """Its topmost node, as `EXPLAIN (FORMAT JSON)` has it."""

    @property
    def nodes(self) -> Iterator[Mapping[str, Any]]:
        """Every node, those of subplans too."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", ())

    @property
    def indexes(self) -> frozenset[str]:
        """Names of the indexes it uses."""
        return frozenset(str(node["Index Name"]) for node in self.nodes if "Index Name" in node)

    @property
    def scanned(self) -> frozenset[str]:
        """Tables that it reads from end to end, as `schema.table`."""
        found = (node for node in self.nodes if node["Node Type"] == "Seq Scan")
        return frozenset(f"{node.get('Schema', '')}.{node['Relation Name']}".lstrip(".") for node in found)


@flow
def _explained(sql: str, parameters: Parameters, any_index: bool) -> Generator[Query, Any, Plan]:
    before = (yield Query(_BEFORE))[0][0]
    if any_index:
        yield Query(_OFF)
    found = yield Query(f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}", parameters)
    shown = yield Query(f"EXPLAIN (COSTS OFF) {sql}", parameters)
    yield Query(f"SET LOCAL enable_seqscan = {before}")
    root = found[0][0]
    root = json.loads(root) if isinstance(root, str) else root
    return Plan("\n".join(row[0] for row in shown), root[0]["Plan"])


def plan_of(conn: object, query: Sql, parameters: Parameters = (), *, any_index: bool = True) -> Plan:
    """The plan of a query: SQL with psycopg's placeholders, or a statement of SQLAlchemy. The query itself is not run.

    `conn` is a connection of psycopg, or a Connection or Session of SQLAlchemy, in a transaction. With `any_index` the planner
    takes an index wherever one can serve: on tables of a test's size it would read them from end to end.
    """
    sql, values = _text(query, parameters)
    return _explained(conn, sql, values, any_index)


def assert_plan_uses_index(conn: object, query: Sql, *indexes: str, parameters: Parameters = ()) -> Plan:
    """Fail with the plan where the query does not use all of these indexes although reading whole tables is dear; the plan otherwise."""
    __tracebackhide__ = True
    plan = plan_of(conn, query, parameters)
    missing = [name for name in indexes if name not in plan.indexes]
    if missing:
        used = ", ".join(sorted(plan.indexes)) or "none"
        raise AssertionError(f"the plan does not use index {', '.join(missing)}; it uses: {used}\n{plan.text}")
    return plan


def assert_no_seq_scan(conn: object, query: Sql, *, parameters: Parameters = (), but: Sequence[str] = ()) -> Plan:
    """Fail with the plan where the query must read a table from end to end, other than `but` (`table` or `schema.table`)."""
    __tracebackhide__ = True
    plan = plan_of(conn, query, parameters)
    scanned = sorted(name for name in plan.scanned if name not in but and name.rpartition(".")[2] not in but)
    if scanned:
        raise AssertionError(f"no index serves the query on {', '.join(scanned)}, so all of it is read\n{plan.text}")
    return plan


def _text(query: Any, parameters: Parameters) -> tuple[str, Parameters]:
    """SQL as psycopg takes it; a statement of SQLAlchemy is compiled with its values written out."""
    if isinstance(query, str):
        return query, parameters
    from sqlalchemy.dialects.postgresql import psycopg as dialects

    dialect: Any = dialects.dialect
    compiled = query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})
    return str(compiled).replace("%%", "%"), ()
