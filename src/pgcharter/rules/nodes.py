"""The parser's nodes as the text twins of rules need them: tables, columns and constraints as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pgcharter.findings import Place
from pgcharter.names import ObjectId
from pgcharter.rules.engine import Context
from pgcharter.sqltext import Statement, node_place, walk

_SERIAL = {"serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"}


@dataclass(slots=True, eq=False)
class WrittenConstraint:
    """A constraint of a column or a table."""

    kind: str
    """PostgreSQL's own word: primary, unique, foreign, check, notnull, null, default, identity, generated, exclusion."""
    statement: Statement
    table: ObjectId
    node: Any
    column: str = ""
    """The column it stands at; empty for a table constraint."""

    @property
    def place(self) -> Place:
        """Where it is written."""
        return node_place(self.statement, self.node.location)

    @property
    def name(self) -> str:
        """Its name, empty when PostgreSQL may choose."""
        return str(self.node.conname)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it constrains, as far as it names them."""
        listed = self.node.fk_attrs if self.kind == "foreign" else self.node.keys
        return tuple(k.string.sval for k in listed) or ((self.column,) if self.column else ())

    @property
    def id(self) -> ObjectId:
        """Address: the constraint when it is named, else its column or table."""
        if self.name:
            return ObjectId("constraint", self.table.schema, self.table.name, self.name)
        return ObjectId("column", self.table.schema, self.table.name, self.column) if self.column else self.table


@dataclass(slots=True, eq=False)
class WrittenColumn:
    """A column in CREATE TABLE or ADD COLUMN."""

    name: str
    type: str
    """Last part of the type's name: `int4`, `timestamp`, `serial`, `order_status`."""
    modifiers: tuple[int, ...]
    array: bool
    statement: Statement
    table: ObjectId
    node: Any
    constraints: tuple[WrittenConstraint, ...]

    @property
    def place(self) -> Place:
        """Where it is written."""
        return node_place(self.statement, self.node.location)

    @property
    def id(self) -> ObjectId:
        """Its address, with the schema as written (perhaps none)."""
        return ObjectId("column", self.table.schema, self.table.name, self.name)

    @property
    def serial(self) -> bool:
        """Whether it is of one of the serial types."""
        return self.type in _SERIAL

    def has(self, *kinds: str) -> bool:
        """Whether a constraint of one of these kinds stands at it."""
        return any(c.kind in kinds for c in self.constraints)

    @property
    def default(self) -> Any:
        """The expression of DEFAULT or GENERATED, or None."""
        return next((c.node.raw_expr for c in self.constraints if c.kind in ("default", "generated")), None)


@dataclass(slots=True, eq=False)
class WrittenTable:
    """What one CREATE TABLE or ALTER TABLE writes down."""

    id: ObjectId
    statement: Statement
    columns: tuple[WrittenColumn, ...] = ()
    constraints: tuple[WrittenConstraint, ...] = ()
    """Those of the columns first, then the table's own."""
    partition_columns: tuple[str, ...] = ()
    """Key columns of PARTITION BY; an expression gives an empty element."""
    partition_of: bool = False
    inherits: bool = False
    copies: bool = False
    """LIKE another table: it has more than is written here."""
    unlogged: bool = False
    temporary: bool = False
    created: bool = True
    """False for ALTER TABLE."""
    column: dict[str, WrittenColumn] = field(default_factory=dict)

    def keys(self, *kinds: str) -> Iterator[WrittenConstraint]:
        """Its constraints of these kinds."""
        return (c for c in self.constraints if c.kind in kinds)


def tables(ctx: Context) -> Iterator[WrittenTable]:
    """Tables that the statements create (not temporary ones)."""
    for statement in ctx.of_kind("create_stmt"):
        table = written(statement)
        if table is not None and not table.temporary:
            yield table


def parts(ctx: Context) -> Iterator[WrittenTable]:
    """Tables that the statements create, and what ALTER TABLE adds to others."""
    for statement in ctx.of_kind("create_stmt", "alter_table_stmt"):
        table = written(statement)
        if table is not None and not table.temporary:
            yield table


def attached(ctx: Context) -> Iterator[str]:
    """Names of tables that ALTER TABLE ... ATTACH PARTITION makes partitions of others."""
    for statement in ctx.of_kind("alter_table_stmt"):
        for item in statement.node.cmds:
            definition = getattr(item.alter_table_cmd, "def")
            if definition.WhichOneof("node") == "partition_cmd" and definition.partition_cmd.HasField("bound"):
                yield definition.partition_cmd.name.relname


def created_once(ctx: Context) -> dict[ObjectId, WrittenTable]:
    """Tables that the whole text creates exactly once: only of those is it certain which table another statement speaks of.

    A document shows several tables of one name, a chain of migrations drops one and makes it anew.
    """
    found: dict[ObjectId, list[WrittenTable]] = {}
    for statement in ctx.reading.statements:
        table = written(statement) if statement.kind == "create_stmt" else None
        if table is not None and not table.temporary:
            found.setdefault(table.id, []).append(table)
    return {name: tables[0] for name, tables in found.items() if len(tables) == 1}


def columns(ctx: Context) -> Iterator[WrittenColumn]:
    """Columns in CREATE TABLE and ADD COLUMN; those of partitions belong to the parent and are left out."""
    return (c for t in parts(ctx) if not t.partition_of for c in t.columns)


@lru_cache(maxsize=262144)
def written(statement: Statement) -> WrittenTable | None:
    """The table that a `create_stmt` or `alter_table_stmt` writes down."""
    if statement.node is None:
        return None
    return _created(statement) if statement.kind == "create_stmt" else _altered(statement)


def _created(statement: Statement) -> WrittenTable:
    node = statement.node
    table = relation_id(node.relation)
    found_columns: list[WrittenColumn] = []
    own: list[WrittenConstraint] = []
    copies = False
    for element in node.table_elts:
        kind = element.WhichOneof("node")
        if kind == "column_def":
            found_columns.append(_column(statement, table, element.column_def))
        elif kind == "constraint":
            own.append(_constraint(statement, table, element.constraint))
        else:
            copies = True
    return WrittenTable(
        table,
        statement,
        tuple(found_columns),
        (*(c for col in found_columns for c in col.constraints), *own),
        partition_columns=tuple(p.partition_elem.name for p in node.partspec.part_params),
        partition_of=node.HasField("partbound"),
        inherits=bool(node.inh_relations) and not node.HasField("partbound"),
        copies=copies or node.HasField("of_typename"),
        unlogged=node.relation.relpersistence == "u",
        temporary=node.relation.relpersistence == "t",
        column={c.name: c for c in found_columns},
    )


def _altered(statement: Statement) -> WrittenTable | None:
    node = statement.node
    table = relation_id(node.relation)
    found_columns: list[WrittenColumn] = []
    own: list[WrittenConstraint] = []
    for item in node.cmds:
        definition = getattr(item.alter_table_cmd, "def")
        kind = definition.WhichOneof("node")
        if kind == "column_def" and definition.column_def.colname:
            found_columns.append(_column(statement, table, definition.column_def))
        elif kind == "constraint":
            own.append(_constraint(statement, table, definition.constraint))
    if not found_columns and not own:
        return None
    every = (*(c for col in found_columns for c in col.constraints), *own)
    return WrittenTable(table, statement, tuple(found_columns), every, created=False, column={c.name: c for c in found_columns})


def relation_id(node: Any) -> ObjectId:
    """Address of a RangeVar as written, as kind `table`."""
    return ObjectId("table", node.schemaname, node.relname)


def _column(statement: Statement, table: ObjectId, node: Any) -> WrittenColumn:
    type_name = node.type_name
    names = [n.string.sval for n in type_name.names]
    modifiers = tuple(m.a_const.ival.ival for m in type_name.typmods if m.WhichOneof("node") == "a_const")
    constraints = tuple(_constraint(statement, table, c.constraint, node.colname) for c in node.constraints)
    last = names[-1] if names else ""
    return WrittenColumn(node.colname, last, modifiers, bool(type_name.array_bounds), statement, table, node, constraints)


def _constraint(statement: Statement, table: ObjectId, node: Any, column: str = "") -> WrittenConstraint:
    return WrittenConstraint(_constraint_kind(node.contype, node), statement, table, node, column)


_kinds: dict[int, str] = {}


def _constraint_kind(number: int, node: Any) -> str:
    if number not in _kinds:
        values = node.DESCRIPTOR.fields_by_name["contype"].enum_type.values
        _kinds.update({v.number: v.name.removeprefix("CONSTR_").lower() for v in values})
    return _kinds[number]


def functions(node: Any) -> Iterator[str]:
    """Names of the functions called inside an expression, without schema, lower case."""
    return (m.funcname[-1].string.sval.lower() for name, m in walk(node) if name == "FuncCall")


def columns_in(node: Any) -> set[str]:
    """Names of the columns mentioned inside an expression."""
    return {m.fields[-1].string.sval for name, m in walk(node) if name == "ColumnRef"}
