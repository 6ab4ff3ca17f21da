"""Foreign keys: what they need to be fast, to be true, and to do what they say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from pgcharter.catalog.circles import circles
from pgcharter.catalog.model import Constraint, DataType, Table
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, quote
from pgcharter.rules import nodes, shapes
from pgcharter.rules.engine import Context, rule

_MANY_ROWS = 100_000


def _own_keys(ctx: Context) -> Iterator[tuple[Table, Constraint]]:
    """Foreign keys of tables that are not partitions, as they were declared."""
    for table in ctx.catalog.root_tables:
        for fk in table.foreign_keys:
            if not fk.inherited:
                yield table, fk


@rule("KEY20", "foreign-key-without-index", Severity.WARNING)
def foreign_key_without_index(ctx: Context) -> Iterator[Finding]:
    """The referencing columns of a foreign key have no index.

    Why: each DELETE of a referenced row, and each change of its key, reads the whole referencing table to see who refers to it, while
    holding locks; joins along the key do the same.

    Instead: an index whose first columns are those of the foreign key, in any order.

        CREATE INDEX CONCURRENTLY idx_orders_user_id ON app.orders (user_id);

    Except: a partial index that only leaves out NULLs is enough, and so is an index on a part of the key that is unique on the other side.
    A key into a short list of values (a status, a currency, a country: keyed by a short word or smallint, at most four columns, referring
    to nothing) needs none: such rows are hardly ever deleted, and an index on a handful of values finds nothing. Where many rows are known
    to be there, it is no list.
    """
    for table, fk in _own_keys(ctx):
        target = shapes.target_of(ctx, fk)
        if fk.temporal or table.kind == "foreign table" or any(shapes.supports(i, fk, target) for i in table.indexes):
            continue
        if target is not None and _is_short_list(ctx, target, fk):
            continue
        rows = ctx.rows(table)
        size = f", about {rows:,.0f} rows" if rows is not None and rows >= _MANY_ROWS else ""
        columns = shapes.columns_sql(fk.columns)
        yield ctx.finding(
            table.part("constraint", fk.name),
            f"foreign key {quote(fk.name)} of {table.id.sql()} has no index on ({columns}), so each delete in {_sql(fk.references)} "
            f"reads all of {table.name}{size}",
            fix=shapes.create_index(ctx, table, fk.columns),
            hint=_PARTITIONED if table.kind == "partitioned table" else "",
            columns=list(fk.columns),
        )


_PARTITIONED = "this stops writes while it builds; to avoid that, build the index on each partition CONCURRENTLY, then on the parent"


def _sql(target: ObjectId | None) -> str:
    return target.sql() if target else "the referenced table"


_LISTED = 1_000


def _is_short_list(ctx: Context, target: Table, fk: Constraint) -> bool:
    """A table of values that people maintain: keyed by a short word or number, with little more to say, referring to nothing."""
    if len(fk.referenced_columns) != 1 or target.foreign_keys or (ctx.rows(target) or 0) > _LISTED:
        return False
    type_ = target.column[fk.referenced_columns[0]].type
    small = type_.basic == "int2" or type_.kind == "enum" or (type_.length or _LISTED) <= 10
    return small or (shapes.is_text(type_) and len(target.columns) <= 4)


@rule("KEY21", "foreign-key-type-differs", Severity.WARNING)
def foreign_key_type_differs(ctx: Context) -> Iterator[Finding]:
    """A foreign key column has another type than the column it refers to.

    Why: an integer that refers to a bigint fails at 2,147,483,648, years after it was written; an integer that refers to a numeric is cast
    for every comparison, so joins lose their indexes.

    Instead: the same type on both sides.

    Except: text and varchar, domains over the same type, and a wider integer that refers to a narrower one compare alike and are not
    flagged: referring columns are widened first.
    """
    for table, fk in _own_keys(ctx):
        target = shapes.target_of(ctx, fk)
        for name, other in zip(fk.columns, fk.referenced_columns, strict=False) if not shapes.is_invented(ctx, target) else ():
            mine, theirs = table.column[name], target.column.get(other) if target else None
            if theirs is None or target is None or _same_type(mine.type, theirs.type):
                continue
            address = table.part("column", name)
            yield ctx.finding(
                address,
                f"{address.sql()} is {mine.type.sql} but refers to {target.id.sql()}.{quote(other)}, which is {theirs.type.sql}: "
                + _difference(mine.type, theirs.type),
                fix=_widen(table, name, mine.type, theirs.type),
                detail=fk.name,
                type=mine.type.sql,
                referenced_type=theirs.type.sql,
            )


def _same_type(a: DataType, b: DataType) -> bool:
    """Whether `a` holds every value of `b` and compares with it by index."""
    if shapes.INTEGER_TYPES.get(a.basic, 0) >= shapes.INTEGER_TYPES.get(b.basic, 9):
        return True
    if a.basic == b.basic or {a.basic, b.basic} <= {"text", "varchar"}:
        short = a.length is not None and (b.length or 0) > a.length and a.basic != "bpchar"
        return not short
    return False


def _difference(mine: DataType, theirs: DataType) -> str:
    widths = shapes.INTEGER_TYPES
    if mine.basic in widths and theirs.basic in widths:
        return f"values above {shapes.INTEGER_MAXIMUM[mine.basic]:,} cannot be referred to"
    if mine.length is not None and shapes.is_text(mine) and shapes.is_text(theirs):
        return f"values longer than {mine.length} characters cannot be referred to"
    return "every comparison has to cast, and indexes are lost"


def _widen(table: Table, name: str, mine: DataType, theirs: DataType) -> str:
    """ALTER COLUMN TYPE where nothing can be lost."""
    widths = shapes.INTEGER_TYPES
    wider = mine.basic in widths and theirs.basic in widths and widths[mine.basic] < widths[theirs.basic]
    longer = shapes.is_text(mine) and shapes.is_text(theirs)
    return f"{shapes.alter(table)} ALTER COLUMN {quote(name)} TYPE {theirs.sql}" if (wider or longer) and not theirs.array else ""


@rule("KEY22", "duplicate-foreign-key", Severity.WARNING)
def duplicate_foreign_key(ctx: Context) -> Iterator[Finding]:
    """Two foreign keys say the same.

    Why: every write is checked twice, and where the two disagree about ON DELETE the stricter one decides, which nobody expects.

    Instead: keep one, with the action that is meant.
    """
    for table in ctx.catalog.root_tables:
        seen: dict[object, Constraint] = {}
        for fk in table.foreign_keys:
            key = (fk.references, frozenset(zip(fk.columns, fk.referenced_columns, strict=False)), fk.temporal)
            first = seen.setdefault(key, fk)
            if first is fk or fk.inherited:
                continue
            agree = (first.on_delete, first.on_update) == (fk.on_delete, fk.on_update)
            yield ctx.finding(
                table.part("constraint", fk.name),
                f"foreign key {quote(fk.name)} of {table.id.sql()} repeats {quote(first.name)}"
                + (
                    ", so every write is checked twice"
                    if agree
                    else f" with other actions (ON DELETE {fk.on_delete.upper()} beside "
                    f"{first.on_delete.upper()}), so the stricter one decides"
                ),
                fix=f"{shapes.alter(table)} DROP CONSTRAINT {quote(fk.name)}" if agree else "",
                hint="" if agree else "drop the one that is not meant",
                repeats=first.name,
            )


@rule("KEY23", "set-null-on-not-null-column", Severity.ERROR)
def set_null_on_not_null_column(ctx: Context) -> Iterator[Finding]:
    """A foreign key sets a column to NULL that must not be NULL.

    Why: ON DELETE SET NULL on a NOT NULL column never does what it says: the DELETE of the referenced row fails with a not-null violation.
    In a key of several columns the action clears all of them, the tenant included.

    Instead: RESTRICT or CASCADE, or a column that may be NULL; in a key of several columns name the one to clear.

        FOREIGN KEY (tenant_id, manager_id) REFERENCES app.staff (tenant_id, staff_id) ON DELETE SET NULL (manager_id)
    """
    for table, fk in _own_keys(ctx):
        for event, action in (("delete", fk.on_delete), ("update", fk.on_update)):
            cleared = (fk.on_delete_columns or fk.columns) if event == "delete" else fk.columns
            refusing = [c for c in cleared if _refuses(table, c, action)]
            if refusing:
                yield _impossible_action(ctx, table, fk, event, action, refusing)


def _refuses(table: Table, column: str, action: str) -> bool:
    known = table.column[column]
    if action == "set null":
        return known.not_null
    return action == "set default" and known.not_null and not known.default and not known.identity


def _impossible_action(ctx: Context, table: Table, fk: Constraint, event: str, action: str, refusing: list[str]) -> Finding:
    free = [c for c in fk.columns if c not in refusing and not table.column[c].not_null]
    fix = ""
    if event == "delete" and action == "set null" and free:
        definition = re.sub(r"ON DELETE SET NULL( \([^)]*\))?", f"ON DELETE SET NULL ({shapes.columns_sql(free)})", fk.definition)
        fix = f"{shapes.alter(table)} DROP CONSTRAINT {quote(fk.name)}, ADD CONSTRAINT {quote(fk.name)} {definition}"
    column = quote(refusing[0])
    return ctx.finding(
        table.part("constraint", fk.name),
        f"foreign key {quote(fk.name)} of {table.id.sql()} says ON {event.upper()} {action.upper()}, but {column} is NOT NULL, so the "
        f"{event} fails",
        fix=fix,
        hint="" if fix else f"say RESTRICT or CASCADE, or {shapes.alter(table)} ALTER COLUMN {column} DROP NOT NULL",
        detail=event,
    )


@set_null_on_not_null_column.text
def set_null_on_not_null_column_text(ctx: Context) -> Iterator[Finding]:
    """REFERENCES … ON DELETE SET NULL at a column that is NOT NULL."""
    for table in nodes.parts(ctx):
        for key in table.keys("foreign"):
            if key.node.fk_del_action != "n":
                continue
            listed = tuple(c.string.sval for c in key.node.fk_del_set_cols) or key.columns
            for name in listed:
                column = table.column.get(name)
                if column is not None and column.has("notnull", "primary"):
                    yield ctx.finding(
                        key.id,
                        f"the foreign key on {column.id.sql()} says ON DELETE SET NULL, but {quote(name)} is NOT NULL, so the delete fails",
                        place=key.place,
                        hint="say RESTRICT or CASCADE, or let the column be NULL",
                        detail="delete",
                    )


@rule("KEY24", "foreign-key-without-on-delete", Severity.INFO, options=("on_delete_required",))
def foreign_key_without_on_delete(ctx: Context) -> Iterator[Finding]:
    """A foreign key does not state what happens when the referenced row is deleted.

    Why: the silent default refuses the delete. Whoever reads the schema cannot tell whether that was decided or forgotten, and finds out in
    production.

    Instead: RESTRICT for what must survive, CASCADE for parts of a whole, SET NULL for what may lose its reference.

    Except: a database does not remember whether NO ACTION was written; where the SQL is at hand and says it, nothing is flagged.
    """
    if not ctx.options.on_delete_required:
        return
    said = {s.place for s in ctx.reading.statements if _SAYS_NO_ACTION.search(s.text)}
    for table, fk in _own_keys(ctx):
        if fk.on_delete != "no action" or fk.temporal:
            continue
        address = table.part("constraint", fk.name)
        place = ctx.reading.places.get(address) or ctx.reading.places.get(table.id)
        if place is not None and any(place.file == s.file and s.line <= place.line <= max(s.end_line, s.line) for s in said):
            continue
        yield ctx.finding(
            address,
            f"foreign key {quote(fk.name)} of {table.id.sql()} does not say what happens when a row of {_sql(fk.references)} is deleted",
            hint="RESTRICT, CASCADE or SET NULL: "
            f"{shapes.alter(table)} DROP CONSTRAINT {quote(fk.name)}, ADD CONSTRAINT {quote(fk.name)} {fk.definition} ON DELETE …"
            if "ON DELETE" not in fk.definition and "DEFERRABLE" not in fk.definition and "NOT VALID" not in fk.definition
            else "state RESTRICT, CASCADE or SET NULL",
        )


_SAYS_NO_ACTION = re.compile(r"on\s+delete\s+no\s+action", re.IGNORECASE)


@foreign_key_without_on_delete.text
def foreign_key_without_on_delete_text(ctx: Context) -> Iterator[Finding]:
    """REFERENCES without ON DELETE."""
    for table in nodes.parts(ctx) if ctx.options.on_delete_required else ():
        for key in table.keys("foreign"):
            if key.node.fk_del_action in ("a", "") and not _SAYS_NO_ACTION.search(table.statement.text):
                target = nodes.relation_id(key.node.pktable).sql()
                yield ctx.finding(
                    key.id,
                    f"the foreign key ({shapes.columns_sql(key.columns)}) of {table.id.sql()} does not say what happens when a row of "
                    f"{target} is deleted",
                    place=key.place,
                    hint="state RESTRICT, CASCADE or SET NULL",
                    detail=",".join(key.columns),
                )


_HISTORY = set(
    """
    log logs audit audits history histories archive archives event events outbox inbox staging stage import imports snapshot snapshots
    journal projection projections cache queue tmp temp analytics metrics old backup view read search dead letter letters
    fact facts agg aggregate aggregates summary summaries rollup rollups hourly daily weekly monthly stats statistics report reports
    """.split()  # noqa: SIM905
)  # fmt: skip
_FOREIGN_WORDS = set(
    """
    external remote legacy old original source target provider stripe vendor session request correlation trace transaction aggregate entity
    record object row message event stream
    """.split()  # noqa: SIM905
)  # fmt: skip


@rule("KEY25", "missing-foreign-key", Severity.INFO)
def missing_foreign_key(ctx: Context) -> Iterator[Finding]:
    """A column is named after another table's key and has its type, but no foreign key.

    Why: nothing keeps the referenced row from being deleted, or a wrong number from being written; orphans are found by customers.

    Instead: `FOREIGN KEY (user_id) REFERENCES app.users (id) ON DELETE …`, added NOT VALID first on a large table.

    Except: columns of logs, events, audit and history (they must outlive what they tell of), of facts and summaries (loaded from checked
    data), columns with a `_type` beside them, keys of other systems, and partitioned or foreign targets without a fitting key are not
    flagged.
    """
    keys = _keys_by_reference(ctx)
    for table in ctx.catalog.root_tables:
        if table.kind == "foreign table" or shapes.is_staging(table) or _HISTORY & set(shapes.words(table.name)):
            continue
        bound = {c for t in (table, *ctx.catalog.partitions.get(table.id, ())) for fk in t.foreign_keys for c in fk.columns}
        for column in table.columns:
            if column.name in bound or column.generated or not column.name.endswith(("_id", "Id", "_uuid")) or column.type.array:
                continue
            stem = column.name.removesuffix("_id").removesuffix("Id").removesuffix("_uuid").lower()
            target = keys.get((table.schema, stem))
            key = target.primary_key if target else None
            if target is None or key is None or (target.id == table.id and column.name in key.columns):
                continue
            if target.column[key.columns[0]].type.basic != column.type.basic or _refers_elsewhere(table, stem):
                continue
            address = table.part("column", column.name)
            yield ctx.finding(
                address,
                f"{address.sql()} is named after the key of {target.id.sql()} but has no foreign key, so rows can refer to nothing",
                hint=f"{shapes.alter(table)} ADD FOREIGN KEY ({quote(column.name)}) REFERENCES {target.id.sql()} ({quote(key.columns[0])}) "
                "ON DELETE … NOT VALID; then VALIDATE CONSTRAINT",
                table=target.id.sql(),
            )


def _keys_by_reference(ctx: Context) -> Mapping[tuple[str, str], Table]:
    """Tables with a key of one column by schema and the stem of a column that would refer to them: `user` for `users`."""
    from pgcharter import nouns

    found: dict[tuple[str, str], Table] = {}
    for table in ctx.catalog.root_tables:
        key = table.primary_key
        if key is not None and shapes.surrogate_key(table) is not None and not shapes.is_invented(ctx, table):
            name = table.name.lower()
            for stem in {name, (nouns.singular_name(name) or name)}:
                found.setdefault((table.schema, stem), table)
    return found


def _refers_elsewhere(table: Table, stem: str) -> bool:
    """Polymorphic references and keys of other systems."""
    return f"{stem}_type" in table.column or bool(_FOREIGN_WORDS & set(shapes.words(stem)))


@rule("KEY26", "circular-required-foreign-keys", Severity.WARNING)
def circular_required_foreign_keys(ctx: Context) -> Iterator[Finding]:
    """Tables require a row of each other before one can be inserted.

    Why: where each side's foreign key is NOT NULL and checked at once, no first row can be inserted by ordinary statements; loading a
    data-only dump fails for the same reason.

    Instead: make one of the keys DEFERRABLE, so that it is checked at COMMIT, or let one column be NULL.

    Except: a table that requires a row of itself is not flagged: a row may refer to itself.
    """
    edges: dict[ObjectId, list[tuple[ObjectId, Constraint]]] = defaultdict(list)
    for table, fk in _own_keys(ctx):
        required = all(table.column[c].not_null for c in fk.columns)
        if fk.references and fk.references != table.id and required and not fk.deferrable and fk.enforced:
            edges[table.id].append((fk.references, fk))
    for group in circles({start: [e[0] for e in out] for start, out in edges.items()}):
        inside = sorted((start, fk.name) for start in group for end, fk in edges[start] if end in group)
        where, name = inside[0]
        names = ", ".join(i.sql() for i in sorted(group))
        yield ctx.finding(
            ObjectId("constraint", where.schema, where.name, name),
            f"{names} require a row of each other at once, so no first row can be inserted",
            fix=f"ALTER TABLE {where.sql()} ALTER CONSTRAINT {quote(name)} DEFERRABLE INITIALLY DEFERRED",
            tables=[i.sql() for i in sorted(group)],
        )
