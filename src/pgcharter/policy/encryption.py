"""Encryption: bytea columns that take nothing but encrypted values, blind indexes to look them up by, and what erasure and jobs need.

While the clear column is still there, the encrypted one stands beside it, and a trigger empties it when somebody who does not know of it
changes the clear value: no reader is ever given an old one, and `pgcharter keys encrypt` finds the row again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from typing import TypeVar

from pgcharter.catalog.model import Catalog, Column, Constraint, DataType, Function, Index, IndexKey, Table, Trigger
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.encryption_settings import HEADER, SECTION, SHORTEST, EncryptedColumn, EncryptionSection
from pgcharter.policy.model import Policy, State
from pgcharter.policy.tenancy_rows import Names, fitted

SUBJECT_KEYS = ObjectId("table", SCHEMA, "subject_keys")
"""The key of each person, wrapped by a key of the ring; destroying one erases what it encrypted."""
JOBS = ObjectId("table", SCHEMA, "key_jobs")
"""How far jobs that encrypt or re-encrypt have come."""
T = TypeVar("T", Constraint, Index, Trigger)
FEW = {"bool": "2", "date": "some 40,000"}
"""Types with so few values that a blind index gives them away to whoever counts."""


def policy(section: EncryptionSection) -> Policy:
    """The policy of an `[encryption]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: EncryptionSection) -> State:
    asked = state
    for spec in section.column:
        asked = _asked(asked, spec)
    if asked.questions != state.questions or not section.column:
        return asked
    state = replace(state, catalog=_with_tables(state.catalog, section))
    names = Names.of(state.catalog)
    for spec in section.column:
        state = _noted(replace(state, catalog=_column(state.catalog, spec, names)), spec)
        state = replace(state, telling=state.telling | _telling(state.catalog, spec))
    return state


def _telling(catalog: Catalog, spec: EncryptedColumn) -> frozenset[str]:
    """The columns that tell of its values without a key, in its table and those below."""
    columns = (spec.column, *map(spec.column_of, spec.search))
    return frozenset(f"{t.schema}.{t.name}.{c}" for t in _family(catalog, spec) for c in columns if c in t.column)


def _asked(state: State, spec: EncryptedColumn) -> State:
    """What only a person can settle."""
    try:
        table = state.catalog.table.get(spec.id)
    except ValueError as error:
        return state.asking(f"[encryption] column {spec.name}: {error}")
    if table is None:
        return state.asking(f"[encryption] is about {spec.id}, which is not there: create it in what is wanted, or take it out")
    if table.partition_of or table.kind == "foreign table":
        which = "is a partition: name the table that it is part of" if table.partition_of else "is a foreign table: encrypt it where it is"
        return state.asking(f"[encryption] is about {spec.id}, which {which}")
    for what, column in (("tenant", spec.tenant), ("subject", spec.subject), *(("row", c) for c in spec.row)):
        if column and column not in table.column:
            state = state.asking(f"[encryption] column {spec.name} names {column!r} as its {what}, a column that {table.id} does not have")
    if not spec.row and table.primary_key is None:
        state = state.asking(
            f"{table.id} has no primary key, so values of {spec.name} cannot be bound to their rows: add one, or name unique columns in row"
        )
    there = table.column.get(spec.ciphertext)
    if there is not None and there.type.basic != "bytea":
        state = state.asking(
            f"column {table.id.sql()}.{quote(spec.ciphertext)} is {there.type.sql}, and ciphertext is bytea: name another column in stored"
        )
    if spec.unique and table.kind == "partitioned table":
        state = state.asking(
            f"{table.id} is partitioned, and a unique index on {spec.column_of(spec.search[0])} needs its key in it: leave unique out"
        )
    return state


def _noted(state: State, spec: EncryptedColumn) -> State:
    table = state.catalog.table[spec.id]
    if spec.column in table.column:
        state = state.noting(
            f"{spec.name} still holds clear text beside {spec.ciphertext}: pgcharter keys encrypt {spec.name}; then drop the clear column"
        )
        held = [i.name for i in table.indexes if spec.column in i.columns] + [c.name for c in table.constraints if spec.column in c.columns]
        if held:
            state = state.noting(f"{', '.join(dict.fromkeys(held))} of {table.id} stand on the clear column {spec.column} and go with it")
    few = FEW.get(spec.type, "10,000" if "last-four" in spec.search else "")
    if spec.search and few:
        state = state.noting(
            f"{spec.name} can have {few} values in its blind index, so whoever reads the index can count its way to many of them:"
            " leave search out, or keep the index from those who need not search (pgcharter keys status shows the largest groups)"
        )
    return state


def _column(catalog: Catalog, spec: EncryptedColumn, names: Names) -> Catalog:
    """The catalog with all that one encrypted column needs, in its table and those below."""
    made: dict[ObjectId, Table] = {}
    for table in _family(catalog, spec):
        made[table.id] = _table(table, spec, made, names, root=table.id == spec.id)
    tables = tuple(made.get(t.id, t) for t in catalog.tables)
    catalog = replace(catalog, tables=tables)
    if spec.column not in made[spec.id].column:
        return catalog
    return replace(catalog, functions=tuple(sorted((*catalog.functions, _stale(spec)), key=lambda f: (f.schema, f.name, f.identity))))


def _family(catalog: Catalog, spec: EncryptedColumn) -> list[Table]:
    """The table of a column, and those below it."""
    family = [catalog.table[spec.id]]
    for table in family:
        family += [t for t in catalog.tables if table.id in t.parents and t.kind != "foreign table"]
    return family


def _table(table: Table, spec: EncryptedColumn, made: dict[ObjectId, Table], names: Names, *, root: bool) -> Table:
    columns = {spec.ciphertext: _holds(spec.ciphertext)}
    columns |= {spec.column_of(form): _digests(spec, form) for form in spec.search}
    for name in columns:
        table = _with_column(table, name, inherited=not root)
    constraints = [replace(_check(_check_name(spec, name), name, expression), inherited=not root) for name, expression in columns.items()]
    table = replace(table, constraints=_by_name({c.name: c for c in (*table.constraints, *constraints)}.values()))
    for form in spec.search:
        table = replace(table, indexes=_by_name((*table.indexes, *_indexes(table, spec, form, made, names))))
    if spec.column in table.column and root:
        table = replace(table, triggers=_by_name((*table.triggers, _trigger(table, spec))))
    elif spec.column in table.column and table.partition_of:
        table = replace(table, triggers=_by_name((*table.triggers, replace(_trigger(table, spec), parent=True))))
    return table


def _by_name(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(sorted(items, key=lambda i: i.name))


def _with_column(table: Table, name: str, *, inherited: bool) -> Table:
    if name in table.column:
        return table
    position = max((c.position for c in table.columns), default=0) + 1
    return replace(table, columns=(*table.columns, Column(name, position, DataType("bytea", name="bytea"), inherited=inherited)))


def _holds(column: str) -> str:
    """The condition that only encrypted values meet: no text in UTF-8 begins like them."""
    at = quote(column)
    return f"octet_length({at}) >= {SHORTEST} AND substring({at} FROM 1 FOR {len(HEADER)}) = '\\x{HEADER.hex()}'::bytea"


def _digests(spec: EncryptedColumn, form: str) -> str:
    """One digest; two in a unique blind index, while its key is rotated."""
    length = f"octet_length({quote(spec.column_of(form))})"
    return f"{length} IN ({spec.digest}, {2 * spec.digest})" if spec.is_unique(form) else f"{length} = {spec.digest}"


def _check_name(spec: EncryptedColumn, column: str) -> str:
    return fitted(spec.id.name, fitted(column, "sealed"))


def _check(name: str, column: str, expression: str) -> Constraint:
    return Constraint(name, "check", (column,), f"CHECK ({expression})", expression=expression)


def _indexes(table: Table, spec: EncryptedColumn, form: str, made: dict[ObjectId, Table], names: Names) -> tuple[Index, ...]:
    """The indexes of a form; none where one is there, or comes with the parent's."""
    column = spec.column_of(form)
    if spec.is_unique(form):
        return tuple(_unique(table, column, end, what, names) for end, what in (("key", spec.sought(form)), ("key_old", spec.oldest(form))))
    above = made.get(table.partition_of) if table.partition_of else None
    parent = next((i for i in above.indexes if i.columns == (column,)), None) if above else None
    if any(i.columns == (column,) and not i.predicate for i in table.indexes):
        return ()
    name, split = names.free(table.schema, table.name, fitted(column, "idx")), table.kind == "partitioned table"
    definition = f"CREATE INDEX {quote(name)} ON {'ONLY ' * split}{table.id.sql()} USING btree ({quote(column)})"
    index = Index(
        table.schema, name, table.name, keys=(IndexKey(column),), partitioned=split, parent=parent.id if parent else None,
        definition=definition,
    )  # fmt: skip
    return (index,)


def _unique(table: Table, column: str, end: str, expression: str, names: Names) -> Index:
    """A unique index of one digest of two. Of two rows with one value, both have the digest under the oldest key while the key is rotated
    (`key_old` refuses), and both that under the new one after it (`key` does): whichever of them each was written with."""
    name = names.free(table.schema, table.name, fitted(column, end))
    definition = f"CREATE UNIQUE INDEX {quote(name)} ON {table.id.sql()} USING btree ({expression})"
    return Index(table.schema, name, table.name, keys=(IndexKey(expression=expression),), unique=True, definition=definition)


def _function_name(spec: EncryptedColumn) -> str:
    return fitted(f"stale_{spec.id.schema}_{spec.id.name}", spec.column)


def _stale(spec: EncryptedColumn) -> Function:
    name = ObjectId("function", SCHEMA, f"{_function_name(spec)}()")
    empty = "\n".join(f"    NEW.{quote(c)} := NULL;" for c in (spec.ciphertext, *map(spec.column_of, spec.search)))
    text = resources.files("pgcharter.policy").joinpath("encryption_stale.sql").read_text(encoding="utf-8")
    return Function(
        SCHEMA, _function_name(spec), "", returns="trigger", language="plpgsql", settings=("search_path=pg_catalog, pg_temp",),
        definition=text.format(name=name.sql().removesuffix("()"), empty=empty),
    )  # fmt: skip


def _trigger(table: Table, spec: EncryptedColumn) -> Trigger:
    clear, stored = quote(spec.column), quote(spec.ciphertext)
    text = "::text" if table.column[spec.column].type.name in ("json", "xml", "point") else ""
    condition = f"OLD.{clear}{text} IS DISTINCT FROM NEW.{clear}{text} AND OLD.{stored} IS NOT DISTINCT FROM NEW.{stored}"
    name, function = fitted(spec.column, "pgcharter_stale"), ObjectId("function", SCHEMA, f"{_function_name(spec)}()")
    definition = (
        f"CREATE TRIGGER {quote(name)} BEFORE UPDATE ON {table.id.sql()} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {function.sql()}"
    )
    return Trigger(name, function, "before", ("update",), condition=condition, definition=definition)


def _with_tables(catalog: Catalog, section: EncryptionSection) -> Catalog:
    """Our own tables: the jobs', and that of subjects' keys where one is wanted."""
    made = [_jobs()]
    if any(c.scope == "subject" for c in section.column):
        made.append(_subject_keys())
    new = [t for t in made if t.id not in catalog.table]
    return replace(catalog, tables=tuple(sorted((*catalog.tables, *new), key=lambda t: (t.schema, t.name))))


def _jobs() -> Table:
    columns = (("job", "text", ""), ("position", "jsonb", ""), ("updated_at", "timestamp with time zone", "now()"))
    comment = "Jobs that encrypt or re-encrypt a column: how far each has come, written with its rows"
    return _own(JOBS, columns, ("job",), comment)


def _subject_keys() -> Table:
    columns = (
        ("subject", "text", ""), ("key_id", "bigint", ""), ("wrapped", "bytea", "null"),
        ("created_at", "timestamp with time zone", "now()"), ("destroyed_at", "timestamp with time zone", "null"),
    )  # fmt: skip
    return _own(SUBJECT_KEYS, columns, ("subject",), "Keys of persons, wrapped by the key ring; one without wrapped is destroyed for good")


_TYPNAMES = {"timestamp with time zone": "timestamptz", "bigint": "int8"}


def _own(at: ObjectId, columns: Iterable[tuple[str, str, str]], key: tuple[str, ...], comment: str) -> Table:
    made = tuple(
        Column(name, n, DataType(kind, name=_TYPNAMES.get(kind, kind)), not_null=default != "null", default=default.replace("null", ""))
        for n, (name, kind, default) in enumerate(columns, 1)
    )
    name = f"{at.name}_pkey"
    index = Index(
        at.schema, name, at.name, keys=tuple(map(IndexKey, key)), unique=True, primary=True, constraint=name,
        definition=f"CREATE UNIQUE INDEX {name} ON {at.sql()} USING btree ({', '.join(key)})",
    )  # fmt: skip
    primary = Constraint(name, "primary key", key, f"PRIMARY KEY ({', '.join(key)})", index=name)
    return Table(at.schema, at.name, columns=made, constraints=(primary,), indexes=(index,), comment=comment)
