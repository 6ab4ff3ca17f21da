"""Soft delete: the column that marks deleted rows, unique keys of living ones, an index for purging, and a trigger that keeps `updated_at`.

An ordinary unique key on the same columns would go on counting deleted rows; as a policy takes nothing away, it asks for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import resources

from pgcharter.catalog.model import Catalog, Column, DataType, Function, Index, IndexKey, Table, Trigger
from pgcharter.names import ObjectId, quote
from pgcharter.policy.compose import SCHEMA
from pgcharter.policy.model import Policy, State
from pgcharter.policy.soft_delete_settings import SECTION, LivingKey, SoftDeleteSection
from pgcharter.policy.tenancy_rows import Names, fitted

_TYPES = ("timestamptz", "timestamp")


def policy(section: SoftDeleteSection) -> Policy:
    """The policy of a `[soft_delete]` section."""
    return Policy(SECTION.name, lambda state: _apply(state, section))


def _apply(state: State, section: SoftDeleteSection) -> State:
    asked = state
    for question in _questions(state.catalog, section):
        asked = asked.asking(question)
    if asked.questions != state.questions:
        return asked
    names = Names.of(state.catalog)
    made: dict[ObjectId, Table] = {}
    for table in _parents_first(state.catalog):
        made[table.id] = _table(table, section, made, names)
    catalog = replace(state.catalog, tables=tuple(made[t.id] for t in state.catalog.tables))
    if section.touch:
        functions = {f.id: f for f in (*catalog.functions, _touch(section))}
        catalog = replace(catalog, functions=tuple(sorted(functions.values(), key=lambda f: (f.schema, f.name, f.identity))))
    state = replace(state, catalog=catalog)
    for note in _notes(catalog, section):
        state = state.noting(note)
    return state


def _own(table: Table) -> bool:
    return not table.extension and table.schema != SCHEMA and table.kind != "foreign table"


def _marked(section: SoftDeleteSection, table: Table) -> bool:
    return _own(table) and section.marks(f"{table.schema}.{table.name}")


def _parents_first(catalog: Catalog) -> list[Table]:
    done: dict[ObjectId, Table] = {}
    todo = list(catalog.tables)
    while todo:
        ready = [t for t in todo if all(p in done or p not in catalog.table for p in t.parents)]
        done |= {t.id: t for t in ready}
        todo = [t for t in todo if t.id not in done] if ready else []
    return list(done.values())


def _questions(catalog: Catalog, section: SoftDeleteSection) -> Iterator[str]:
    """What only a person can settle."""
    for table in catalog.tables:
        marked = _marked(section, table)
        column = table.column.get(section.column)
        where = f"{table.id.sql()}.{quote(section.column)}"
        if marked and column is not None and column.type.basic not in _TYPES:
            yield f"column {where} is {column.type.sql}, and a time of deletion is timestamptz: name another one in [soft_delete] column"
        elif marked and column is not None and column.not_null:
            mend = f"ALTER TABLE {table.id.sql()} ALTER COLUMN {quote(section.column)} DROP NOT NULL"
            yield f"column {where} is NOT NULL, so no row could be alive: {mend}"
    for key in section.unique:
        yield from _of_key(catalog, section, key)


def _of_key(catalog: Catalog, section: SoftDeleteSection, key: LivingKey) -> Iterator[str]:
    table, columns = catalog.table.get(key.id), ", ".join(map(quote, key.columns))
    if table is None:
        yield f"[soft_delete] has a unique key of {key.id}, which is not there: create it in what is wanted, or take it out"
        return
    lacking = [c for c in key.columns if c not in table.column]
    if lacking:
        yield f"[soft_delete] has a unique key ({columns}) of {table.id}, which has no column {', '.join(map(repr, lacking))}"
    if table.partition_of or table.parents:
        yield f"[soft_delete] has a unique key of {table.id}, which has its columns from {table.parents[0]}: name that"
    if table.kind == "partitioned table" and not set(table.partition_columns) <= set(key.columns):
        yield f"{table.id} is partitioned, and a unique key needs its partition key ({', '.join(table.partition_columns)}) in it"
    for index in table.indexes:
        if index.unique and set(index.columns) == set(key.columns) and len(index.columns) == len(index.keys):
            yield from _other(catalog, section, table, index)


def _other(catalog: Catalog, section: SoftDeleteSection, table: Table, index: Index) -> Iterator[str]:
    """What to do about a unique index that counts other rows than the living ones."""
    if _is_living(index, section):
        return
    gone = f"ALTER TABLE {table.id.sql()} DROP CONSTRAINT {quote(index.constraint)}" if index.constraint else f"DROP INDEX {index.id.sql()}"
    columns, name = ", ".join(map(quote, index.columns)), quote(index.constraint or index.name)
    if index.predicate:
        yield (
            f"unique index {name} of {table.id.sql()} holds where {index.predicate}, and ({columns}) is to be unique among living rows, "
            f"WHERE {quote(section.column)} IS NULL, so that both would have to be named in an upsert: {gone}"
        )
        return
    users = sorted(
        f"{t.id.sql()} ({quote(k.name)})"
        for t, k in catalog.referencing.get(table.id, ())
        if set(k.referenced_columns) == set(index.columns)
    )
    if users or index.primary:
        why = f"{', '.join(users)} refers to it" if users else "it is the primary key"
        yield f"unique key {name} of {table.id.sql()} on ({columns}) counts deleted rows and {why}: take the key out of [soft_delete]"
        return
    yield (
        f"unique key {name} of {table.id.sql()} counts deleted rows, so a key ({columns}) of living ones would not let their values be"
        f" used again: {gone}"
    )


def _is_living(index: Index, section: SoftDeleteSection) -> bool:
    return index.predicate.strip("() ") == f"{quote(section.column)} IS NULL"


def _notes(catalog: Catalog, section: SoftDeleteSection) -> Iterator[str]:
    """What a mark does not do that a DELETE would have done."""
    for table in catalog.tables:
        if not _marked(section, table) or table.partition_of:
            continue
        keys = [(t, k) for t, k in catalog.referencing.get(table.id, ()) if not k.inherited]
        said = [f"{t.id.sql()} ({quote(k.name)}, ON DELETE {k.on_delete.upper()})" for t, k in keys]
        if said:
            yield (
                f"rows that refer to a deleted row of {table.id.sql()} stay as they are until it is purged, and new ones can still come: "
                f"{', '.join(sorted(said))}"
            )


def _table(table: Table, section: SoftDeleteSection, made: dict[ObjectId, Table], names: Names) -> Table:
    above = next((made[p] for p in table.parents if p in made), None)
    if _marked(section, table) or (above is not None and section.column in above.column):
        table = _with_column(table, section.column, inherited=above is not None and section.column in above.column)
    if _marked(section, table) or (above is not None and table.partition_of):
        table = _with_indexes(table, section, above, names)
    if _own(table) and section.touch_column in table.column:
        table = _with_trigger(table, section, above)
    return table


def _with_column(table: Table, name: str, *, inherited: bool) -> Table:
    if name in table.column:
        return table
    position = max((c.position for c in table.columns), default=0) + 1
    column = Column(name, position, DataType("timestamp with time zone", name="timestamptz"), inherited=inherited)
    return replace(table, columns=(*table.columns, column))


def _with_indexes(table: Table, section: SoftDeleteSection, above: Table | None, names: Names) -> Table:
    wanted = [k for k in section.unique if k.id == table.id]
    purged = section.purge_index and _marked(section, table) and not any(_finds_deleted(i, section) for i in table.indexes)
    if table.partition_of and above is not None:
        ours = [i for i in above.indexes if i.definition and i.table == above.name and _is_ours(i, section)]
        new = [_part(i, table, names) for i in ours if not any(p.parent == i.id for p in table.indexes)]
    else:
        new = [_unique(k, table, section, names) for k in wanted if not any(_holds(i, k, section) for i in table.indexes)]
        new += [_purging(table, section, names)] if purged else []
    return replace(table, indexes=tuple(sorted((*table.indexes, *new), key=lambda i: i.name)))


def _finds_deleted(index: Index, section: SoftDeleteSection) -> bool:
    whole = not index.predicate or index.predicate.strip("() ") == f"{quote(section.column)} IS NOT NULL"
    return index.columns[:1] == (section.column,) and whole and index.method == "btree"


def _holds(index: Index, key: LivingKey, section: SoftDeleteSection) -> bool:
    return index.unique and set(index.columns) == set(key.columns) and len(index.keys) == len(key.columns) and _is_living(index, section)


def _is_ours(index: Index, section: SoftDeleteSection) -> bool:
    return index.partitioned and quote(section.column) in index.predicate and index.definition.startswith("CREATE")


def _index(table: Table, name: str, columns: Iterable[str], predicate: str, *, unique: bool, distinct: bool = True) -> Index:
    split, keys = table.kind == "partitioned table", tuple(columns)
    nulls = "" if distinct else " NULLS NOT DISTINCT"
    definition = (
        f"CREATE {'UNIQUE ' * unique}INDEX {quote(name)} ON {'ONLY ' * split}{table.id.sql()} USING btree"
        f" ({', '.join(map(quote, keys))}){nulls} WHERE ({predicate})"
    )
    return Index(
        table.schema, name, table.name, keys=tuple(map(IndexKey, keys)), predicate=f"({predicate})", unique=unique, partitioned=split,
        nulls_not_distinct=not distinct, definition=definition,
    )  # fmt: skip


def _unique(key: LivingKey, table: Table, section: SoftDeleteSection, names: Names) -> Index:
    name = key.name or names.free(table.schema, f"uq_{table.name}", "_".join(key.columns))
    predicate = f"{quote(section.column)} IS NULL"
    return _index(table, name, key.columns, predicate, unique=True, distinct=not key.nulls_not_distinct)


def _purging(table: Table, section: SoftDeleteSection, names: Names) -> Index:
    name = names.free(table.schema, f"idx_{table.name}", section.column)
    return _index(table, name, (section.column,), f"{quote(section.column)} IS NOT NULL", unique=False)


def _part(index: Index, table: Table, names: Names) -> Index:
    """The index of a partition below that of its parent."""
    name = names.free(table.schema, table.name, fitted("_".join(index.columns), "idx"))
    made = _index(table, name, index.columns, index.predicate.strip("()"), unique=index.unique, distinct=not index.nulls_not_distinct)
    return replace(made, parent=index.id)


def _with_trigger(table: Table, section: SoftDeleteSection, above: Table | None) -> Table:
    """A trigger before each row that is updated; PostgreSQL gives partitions their parent's."""
    name = fitted("pgcharter_touch", section.touch_column)
    inherited = table.partition_of is not None and above is not None and any(t.name == name for t in above.triggers)
    if any(t.name == name for t in table.triggers) or not (inherited or section.touches(f"{table.schema}.{table.name}")):
        return table
    function = _function(section)
    definition = f"CREATE TRIGGER {quote(name)} BEFORE UPDATE ON {table.id.sql()} FOR EACH ROW EXECUTE FUNCTION {function.sql()}"
    made = Trigger(name, function, "before", ("update",), definition=definition, parent=inherited)
    return replace(table, triggers=tuple(sorted((*table.triggers, made), key=lambda t: t.name)))


def _function(section: SoftDeleteSection) -> ObjectId:
    return ObjectId("function", SCHEMA, f"{fitted('touch', section.touch_column)}()")


def _touch(section: SoftDeleteSection) -> Function:
    name = _function(section)
    text = resources.files("pgcharter.policy").joinpath("soft_delete_touch.sql").read_text(encoding="utf-8")
    return Function(
        SCHEMA, name.name.removesuffix("()"), "", returns="trigger", language="plpgsql", settings=("search_path=pg_catalog, pg_temp",),
        definition=text.format(name=name.sql().removesuffix("()"), column=quote(section.touch_column)),
    )  # fmt: skip
