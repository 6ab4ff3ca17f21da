"""What a document says about tables it never defines: the columns it uses, and of what type they probably are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pgcharter.sqltext import Statement

Name = tuple[str, str]
"""Schema (empty when not written) and name."""

_BY_NAME = (
    (("id", "uuid", "guid", "correlation", "tenant"), "uuid"),
    (("at", "timestamp", "time", "until", "since", "expires"), "timestamp with time zone"),
    (("date", "on", "day", "dob", "birth"), "date"),
    (("count", "quantity", "qty", "version", "number", "position", "attempts", "retries", "priority", "age", "size", "rank"), "integer"),
    (("amount", "price", "total", "rate", "cost", "balance", "fee", "tax", "weight", "seconds"), "numeric"),
    (("data", "metadata", "settings", "payload", "json", "attributes", "config", "details", "values", "headers"), "jsonb"),
    (("vector", "tsv"), "tsvector"),
)
_FLAGS = ("is_", "has_", "can_", "was_")
_FLAG_WORDS = {"active", "enabled", "deleted", "verified", "archived", "processed", "published"}


def guess_type(column: str) -> str:
    """A likely type for a column of this name."""
    low = column.lower()
    if low.startswith(_FLAGS) or low in _FLAG_WORDS:
        return "boolean"
    last = low.rpartition("_")[2]
    return next((sql for words, sql in _BY_NAME if last in words), "text")


@dataclass
class Usage:
    """What one undefined table must have for the document to make sense."""

    columns: dict[str, str] = field(default_factory=dict)
    """Name → type; empty text where only the name is known."""
    keys: list[tuple[str, ...]] = field(default_factory=list)
    """Columns that foreign keys point at."""
    partitioned: str = ""
    """PARTITION BY clause, where the document makes partitions of it."""


def collect(statements: Iterable[Statement]) -> tuple[dict[str, Usage], dict[str, str]]:
    """Usage by unqualified table name, and the document's own type of every column name it defines somewhere."""
    usage: dict[str, Usage] = {}
    types: dict[str, Counter[str]] = {}
    for statement in statements:
        for column, sql in _definitions(statement, usage):
            types.setdefault(column, Counter())[sql] += 1
        if statement.kind == "create_stmt" and statement.node.HasField("partbound") and statement.node.inh_relations:
            _partition(statement.node, usage)
        _mentions(statement, usage)
    return usage, {column: found.most_common(1)[0][0] for column, found in types.items()}


def type_sql(node: Any) -> str:
    """A built-in type as SQL; empty for user-defined types, whose existence is not certain."""
    names = [n.string.sval for n in node.names]
    builtin = {"text", "uuid", "jsonb", "json", "date", "bytea", "inet", "cidr", "timestamptz", "timestamp", "money", "xml", "tsvector",
               "serial", "bigserial", "smallserial", "macaddr", "oid", "name", "citext"}  # fmt: skip
    if names[:1] == ["pg_catalog"]:
        plain = str(names[1])
    elif len(names) == 1 and names[0] in builtin:
        plain = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint", "citext": "text"}.get(names[0], str(names[0]))
    else:
        return ""
    return plain + "[]" * len(node.array_bounds)


def _partition(node: Any, usage: dict[str, Usage]) -> None:
    """The parent of a partition is partitioned, by a column that suits the partition's bounds."""
    known = usage.setdefault(node.inh_relations[0].range_var.relname, Usage())
    bound = node.partbound
    numbers = any(d.a_const.WhichOneof("val") == "ival" for d in (*bound.lowerdatums, *bound.listdatums))
    column, sql = ("id", "bigint") if numbers or bound.strategy == "h" else ("created_at", "timestamp with time zone")
    if bound.strategy == "l" and not numbers:
        column, sql = "region", "text"
    known.columns[column] = sql
    known.partitioned = {"r": "RANGE", "l": "LIST", "h": "HASH"}.get(bound.strategy, "RANGE") + f" ({column})"


def _definitions(statement: Statement, usage: dict[str, Usage]) -> Iterator[tuple[str, str]]:
    """Column types that `statement` defines; foreign keys in it are entered into `usage`."""
    if statement.kind == "create_stmt":
        items = list(statement.node.table_elts)
    elif statement.kind == "alter_table_stmt":
        items = [getattr(c.alter_table_cmd, "def") for c in statement.node.cmds]
    else:
        return
    own: dict[str, str] = {}
    for item in items:
        if item.WhichOneof("node") == "column_def" and item.column_def.colname:
            sql = type_sql(item.column_def.type_name)
            own[item.column_def.colname] = sql
            if sql:
                yield item.column_def.colname, sql
            for constraint in item.column_def.constraints:
                _reference(constraint.constraint, (item.column_def.colname,), own, usage)
    for item in items:
        if item.WhichOneof("node") == "constraint":
            _reference(item.constraint, tuple(k.string.sval for k in item.constraint.fk_attrs), own, usage)


def _reference(constraint: Any, columns: tuple[str, ...], own: dict[str, str], usage: dict[str, Usage]) -> None:
    target = constraint.pktable.relname
    if not target:
        return
    known = usage.setdefault(target, Usage())
    keys = tuple(k.string.sval for k in constraint.pk_attrs) or ("id",) * min(1, len(columns))
    for key, column in zip(keys, columns, strict=False):
        if not known.columns.get(key):
            known.columns[key] = own.get(column, "")
    if keys and keys not in known.keys:
        known.keys.append(keys)


def _mentions(statement: Statement, usage: dict[str, Usage]) -> None:
    """Columns named in indexes, policies, comments, triggers and queries."""
    node, kind = statement.node, statement.kind
    if kind == "index_stmt":
        known = usage.setdefault(node.relation.relname, Usage())
        names = [p.index_elem.name for p in (*node.index_params, *node.index_including_params) if p.index_elem.name]
        _add(known, [*names, *_columns(node.where_clause), *_columns_of(p.index_elem.expr for p in node.index_params)])
    elif kind == "create_policy_stmt":
        _add(usage.setdefault(node.table.relname, Usage()), [*_columns(node.qual), *_columns(node.with_check)])
    elif kind == "create_trig_stmt":
        _add(usage.setdefault(node.relation.relname, Usage()), [c.string.sval for c in node.columns])
    elif kind == "comment_stmt" and node.object.WhichOneof("node") == "list":
        parts = [i.string.sval for i in node.object.list.items]
        if len(parts) >= 2 and statement.text.upper().split()[2] == "COLUMN":
            _add(usage.setdefault(parts[-2], Usage()), [parts[-1]])
    for scope, names in _scopes(node):
        if len(scope) == 1:
            _add(usage.setdefault(next(iter(scope.values())), Usage()), [c for alias, c in names if alias in ("", *scope)])
        else:
            for alias, column in names:
                if alias in scope:
                    _add(usage.setdefault(scope[alias], Usage()), [column])


def _add(known: Usage, names: Iterable[str]) -> None:
    for name in names:
        if name:
            known.columns.setdefault(name, "")


def _columns(expression: Any) -> list[str]:
    return [column for alias, column in _refs(expression) if not alias]


def _columns_of(expressions: Iterable[Any]) -> list[str]:
    return [c for e in expressions for c in _columns(e)]


def _refs(node: Any) -> Iterator[tuple[str, str]]:
    """Column references below `node`: alias and name; those of nested queries left out."""
    pending = [node]
    while pending:
        here = pending.pop()
        kind = here.DESCRIPTOR.name
        if kind == "ColumnRef":
            parts = [f.string.sval for f in here.fields if f.WhichOneof("node") == "string"]
            if parts and len(parts) == len(here.fields):
                yield (parts[-2] if len(parts) > 1 else "", parts[-1])
        elif kind != "SelectStmt":
            pending += reversed([*_children(here)])


def _scopes(node: Any) -> Iterator[tuple[dict[str, str], list[tuple[str, str]]]]:
    """Every query level below `node`: alias → table, and the columns named at that level."""
    pending = [node]
    while pending:
        here = pending.pop()
        kind = here.DESCRIPTOR.name
        if kind in ("SelectStmt", "UpdateStmt", "DeleteStmt", "InsertStmt"):
            tables = dict(_tables(here))
            names = [r for child in _children(here) for r in _refs(child)]
            if kind in ("InsertStmt", "UpdateStmt"):
                written = here.cols if kind == "InsertStmt" else here.target_list
                names += [("", c.res_target.name) for c in written if c.res_target.name]
            if tables:
                yield tables, [(alias, name) for alias, name in names if name]
        pending += reversed([*_children(here)])


def _tables(node: Any) -> Iterator[tuple[str, str]]:
    """Tables a query level reads or writes, by alias."""
    if node.DESCRIPTOR.name != "SelectStmt" and node.relation.relname:
        yield node.relation.alias.aliasname or node.relation.relname, node.relation.relname
        return
    pending = list(getattr(node, "from_clause", ()))
    while pending:
        item = pending.pop()
        which = item.WhichOneof("node")
        if which == "range_var":
            yield item.range_var.alias.aliasname or item.range_var.relname, item.range_var.relname
        elif which == "join_expr":
            pending += [item.join_expr.larg, item.join_expr.rarg]


def _children(node: Any) -> Iterator[Any]:
    for descriptor, value in node.ListFields():
        if descriptor.message_type is not None:
            if hasattr(value, "ListFields"):
                yield value
            else:
                yield from value
