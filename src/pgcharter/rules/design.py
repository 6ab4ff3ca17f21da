"""The shape of tables: columns that repeat, rows without form, and what a house expects every table to have."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from pgcharter.catalog.model import Function, Table, Trigger
from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, cut, quote
from pgcharter.rules import shapes
from pgcharter.rules.engine import Context, rule


@rule("DES01", "table-without-columns", Severity.WARNING)
def table_without_columns(ctx: Context) -> Iterator[Finding]:
    """A table has no column.

    Why: nothing can be stored in it; it is the remains of a migration or the beginning of a forgotten one.

    Instead: give it its columns, or drop it.
    """
    for table in ctx.catalog.root_tables:
        if not table.columns and not table.inherits and table.kind != "foreign table" and table.id not in ctx.catalog.partitions:
            yield ctx.finding(
                table, f"table {table.id.sql()} has no column, so nothing can be stored in it", fix=f"DROP TABLE {table.id.sql()}"
            )


@rule("DES02", "too-many-columns", Severity.INFO, options=("max_columns",))
def too_many_columns(ctx: Context) -> Iterator[Finding]:
    """A table has more columns than the house allows.

    Why: each UPDATE writes the whole row anew, however little changed; such a table is usually several things in one, with most columns
    NULL in most rows.

    Instead: split off what changes at another pace or belongs to some rows only, with the same key.
    """
    for table in ctx.catalog.root_tables:
        if len(table.columns) > ctx.options.max_columns and table.kind != "foreign table":
            yield ctx.finding(
                table,
                f"{table.id.sql()} has {len(table.columns)} columns, more than {ctx.options.max_columns}: each update writes them all anew",
                columns=len(table.columns),
            )


_NUMBERED = re.compile(r"^(?P<stem>[A-Za-z_]*[A-Za-z]{2,})_?(?P<number>\d{1,2})$")
_RIGHTLY_NUMBERED = set(
    """
    line street address addr part half md sha crc utf base iso week month quarter day hour year factor dim coord axis level percentile top
    last next
    """.split()  # noqa: SIM905
)


@rule("DES03", "numbered-columns", Severity.INFO)
def numbered_columns(ctx: Context) -> Iterator[Finding]:
    """Columns of one kind are numbered: phone1, phone2, phone3.

    Why: the fourth needs a migration; to find a number, every query must look in each column; nothing keeps the same value out of two of
    them.

    Instead: a table of its own with one row for each.

    Except: lines of an address, hashes, periods, measurements and the like are numbered rightly; two columns are not flagged.
    """
    for table in ctx.catalog.root_tables:
        stems: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        for column in table.columns:
            found = _NUMBERED.match(column.name)
            if found and column.type.basic not in ("float4", "float8", "numeric", "bool"):
                stems[found["stem"].lower().rstrip("_"), column.type.basic][int(found["number"])] = column.name
        for (stem, _), numbers in stems.items():
            run = [numbers[n] for n in sorted(numbers)]
            first = min(numbers)
            gapless = sorted(numbers) == list(range(first, first + len(run))) and first <= 1
            if len(run) >= 3 and gapless and not _RIGHTLY_NUMBERED & set(shapes.words(stem)):
                yield ctx.finding(
                    table,
                    f"{table.id.sql()} has the numbered columns {shapes.columns_sql(run)}, so one more needs a migration and "
                    "a search has to look in each",
                    hint=f"a table with one row for each {stem}",
                    detail=stem,
                )


_ATTRIBUTE = {"attribute", "attr", "property", "field", "meta"}


@rule("DES04", "entity-attribute-value", Severity.INFO)
def entity_attribute_value(ctx: Context) -> Iterator[Finding]:
    """A table holds (entity, name of an attribute, value as text).

    Why: no attribute can have a type, a NOT NULL, a CHECK or a foreign key; a row of the entity is put together from as many joins as it
    has attributes; statistics are those of all attributes at once.

    Instead: columns for what is known, a jsonb column for what varies.

    Except: settings (a name and a value) are not flagged, nor are tables that have more to say about each value.
    """
    for table in ctx.catalog.root_tables:
        rest = [c for c in table.columns if c.name not in ("id", "created_at", "updated_at", "tenant_id") and c.name != f"{table.name}_id"]
        values = [c for c in rest if shapes.words(c.name)[-1:] == ("value",) and shapes.is_text(c.type)]
        names = [c for c in rest if _ATTRIBUTE & set(shapes.words(c.name)) and c not in values and not c.name.endswith("_id")]
        if len(rest) in (3, 4) and len(values) == 1 and len(names) == 1 and any(c.name.endswith("_id") for c in rest):
            yield ctx.finding(
                table,
                f"{table.id.sql()} holds attributes as rows of text ({shapes.columns_sql((names[0].name, values[0].name))}), so none of "
                "them can have a type or a rule",
                hint="columns for what is known, a jsonb column for what varies",
            )


_THROW_AWAY = set(
    "cache caches staging stage stg tmp temp import imports load buffer scratch work session sessions throttle".split()  # noqa: SIM905
)


@rule("DES05", "unlogged-table", Severity.WARNING)
def unlogged_table(ctx: Context) -> Iterator[Finding]:
    """A table is UNLOGGED.

    Why: after a crash it is empty, and on replicas it always is: after a failover its rows are gone.

    Instead: `ALTER TABLE … SET LOGGED`.

    Except: caches, sessions and staging tables (by name or schema), and tables whose comment says why, are not flagged.
    """
    for table in ctx.catalog.root_tables:
        named = {*shapes.words(table.name), *shapes.words(table.schema)}
        if table.unlogged and not _THROW_AWAY & named and "unlogged" not in table.comment.lower():
            yield ctx.finding(
                table,
                f"table {table.id.sql()} is unlogged, so it is empty after a crash and on every replica",
                fix=f"ALTER TABLE {table.id.sql()} SET LOGGED",
                hint="rewrites the table into the log; or say in its comment why it is unlogged",
            )


@rule("DES06", "table-inheritance", Severity.WARNING)
def table_inheritance(ctx: Context) -> Iterator[Finding]:
    """Tables inherit from another.

    Why: primary keys, unique constraints and foreign keys do not reach across: the same key may stand in two children, and a foreign key
    to the parent does not see the children's rows.

    Instead: declarative partitioning for parts of one table; a foreign key to a common table for kinds of one thing.
    """
    children: dict[ObjectId, list[ObjectId]] = defaultdict(list)
    for table in ctx.catalog.root_tables:
        for parent in table.inherits:
            children[parent].append(table.id)
    for parent, inherited in children.items():
        yield ctx.finding(
            parent,
            f"{parent.sql()} is inherited by {', '.join(c.sql() for c in inherited[:3])}{' and others' if len(inherited) > 3 else ''}: its "
            "keys do not hold across them",
            children=[c.sql() for c in inherited],
        )


UPDATED = {
    "updated_at",
    "modified_at",
    "last_modified",
    "last_updated",
    "last_update",
    "updated_on",
    "modified_on",
    "date_updated",
}
NEVER_UPDATED = {"log", "logs", "audit", "history", "archive", "archives", "events", "snapshot", "snapshots", "backup", "old"}
_NOW = re.compile(r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)|CURRENT_TIMESTAMP|LOCALTIMESTAMP|CURRENT_DATE")


@rule("DES07", "update-time-not-kept", Severity.INFO)
def update_time_not_kept(ctx: Context) -> Iterator[Finding]:
    """A column says when a row was last changed, and nothing in the database keeps it so.

    Why: the default sets it on INSERT only. A statement that forgets it, by hand or in a job, leaves the old time: caches, exports and
    synchronisation by "changed since" miss the row.

    Instead: a BEFORE UPDATE trigger.

    Except: where no table has such a trigger, the application is taken to write the column in every UPDATE; only a guide that expects the
    column in every table (option `required_columns`) then mentions it. Where other tables have the trigger, a table without it was
    forgotten, and the finding is a warning.
    """
    setters = _setters(ctx)
    tables = [
        (t, c.name) for t in ctx.catalog.root_tables for c in t.columns if c.name in UPDATED and _NOW.search(c.default) and not c.generated
    ]
    kept = {(t.id, name) for t, name in tables if any(_sets(ctx, trigger, name) for trigger in t.triggers)}
    for table, name in tables:
        if (table.id, name) in kept or table.kind == "foreign table" or table.rules or NEVER_UPDATED & set(shapes.words(table.name)):
            continue
        address = table.part("column", name)
        forgotten = any(n == name for _, n in kept)
        if not forgotten and name not in {c.name for c in ctx.options.required}:
            continue
        yield ctx.finding(
            address,
            f"{address.sql()} is set on insert, but nothing in the database sets it on update"
            + (", as a trigger does for other tables" if forgotten else ""),
            fix=_trigger(table, name, setters.get(name)),
            hint="" if forgotten else "unless the application sets it in every update",
            severity=Severity.WARNING if forgotten else None,
        )


def _sets(ctx: Context, trigger: Trigger, column: str) -> bool:
    """Whether a trigger sets `column` before an update."""
    if "update" not in trigger.events or trigger.timing != "before" or trigger.enabled == "disabled":
        return False
    function = ctx.catalog.function.get(trigger.function)
    if function is None or column in trigger.arguments:
        return column in trigger.arguments
    return _assigns(function, column) or "jsonb_populate_record" in function.body or "hstore" in function.body


def _assigns(function: Function, column: str) -> bool:
    target = rf"\bnew\s*\.\s*\"?{re.escape(column)}\"?"
    return re.search(rf"{target}\s*:?=|\binto\s+(?:strict\s+)?{target}", function.body, re.IGNORECASE) is not None


def _setters(ctx: Context) -> dict[str, Function]:
    """Trigger functions that do nothing but set one of these columns, by column."""
    found: dict[str, Function] = {}
    for function in ctx.catalog.own_functions:
        if (
            function.returns == "trigger"
            and len(re.findall(r":?=", function.body)) == 1
            and "if" not in re.findall(r"\w+", function.body.lower())
        ):
            for column in UPDATED:
                if _assigns(function, column):
                    found.setdefault(column, function)
    return found


def _trigger(table: Table, column: str, setter: Function | None) -> list[str]:
    schema = quote(table.schema)
    name = setter.id.sql() if setter else f"{schema}.{quote(cut('set_' + column))}()"
    made = [] if setter else [
        f"CREATE OR REPLACE FUNCTION {name} RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN NEW.{quote(column)} := now(); RETURN NEW; END $$"
    ]  # fmt: skip
    trigger = quote(shapes.fresh_name(f"{table.name}_{column}", (t.name for t in table.triggers)))
    return [*made, f"CREATE TRIGGER {trigger} BEFORE UPDATE ON {table.id.sql()} FOR EACH ROW EXECUTE FUNCTION {name}"]


_RECORD = {"record_id", "row_id", "entity_id", "object_id", "record_pk", "row_pk"}
_TABLE_NAME = {"table_name", "relation", "relation_name", "entity_type", "entity_name", "object_type", "table_id", "relid"}


@rule("DES09", "audit-key-too-narrow", Severity.WARNING)
def audit_key_too_narrow(ctx: Context) -> Iterator[Finding]:
    """An audit table keeps the key of the audited row as an integer, and audited tables have other keys.

    Why: a change of a row whose key is a uuid, a text or two columns cannot be recorded: the trigger fails, and with it the write.

    Instead: `text`, or `jsonb` for keys of several columns.

    Except: where no trigger writes into the audit table, any table of another key counts, and it is only mentioned.
    """
    others = [
        t
        for t in ctx.catalog.root_tables
        if (k := t.primary_key) and any(t.column[c].type.basic not in shapes.INTEGER_TYPES for c in k.columns)
    ]
    for table in ctx.catalog.root_tables:
        kept = next((c for c in table.columns if c.name in _RECORD and c.type.basic in shapes.INTEGER_TYPES), None)
        if kept is None or not _TABLE_NAME & set(table.column) or not _is_audit(table):
            continue
        audited = _audited(ctx, table)
        unlike = [t for t in others if t.id != table.id and (not audited or t.id in audited)]
        if unlike:
            address = table.part("column", kept.name)
            yield ctx.finding(
                address,
                f"{address.sql()} is {kept.type.sql}, but the key of {unlike[0].id.sql()} is not: such a change cannot be recorded, "
                "and its write fails",
                fix=f"{shapes.alter(table)} ALTER COLUMN {quote(kept.name)} TYPE text",
                hint="rewrites the table; views and functions that use the column change with it",
                severity=None if audited else Severity.INFO,
            )


def _audited(ctx: Context, audit: Table) -> set[ObjectId]:
    """Tables whose triggers write into the audit table."""
    writers = {
        f.id for f in ctx.catalog.own_functions if f.returns == "trigger" and re.search(rf"\binto\s+[\w.\"]*\b{audit.name}\b", f.body, re.I)
    }
    return {t.id for t in ctx.catalog.root_tables if any(trigger.function in writers for trigger in t.triggers)}


def _is_audit(table: Table) -> bool:
    changed = {
        "old_values",
        "new_values",
        "old_data",
        "new_data",
        "old_row",
        "new_row",
        "changes",
        "operation",
        "action",
        "changed_by",
        "before",
        "after",
    }
    return bool({"audit", "audits", "history", "changelog"} & set(shapes.words(table.name))) or len(changed & set(table.column)) >= 2


@rule("DES10", "materialized-view-without-key", Severity.INFO)
def materialized_view_without_key(ctx: Context) -> Iterator[Finding]:
    """A materialized view has no unique index.

    Why: without one it cannot be refreshed CONCURRENTLY: each REFRESH locks out every reader until it is done.

    Instead: a unique index on columns, without predicate, over all rows.
    """
    for view in ctx.catalog.own_views:
        if view.kind != "materialized view":
            continue
        if not any(i.unique and i.valid and not i.predicate and len(i.columns) == len(i.keys) for i in view.indexes):
            yield ctx.finding(
                view,
                f"materialized view {view.id.sql()} has no unique index, so each refresh locks out its readers",
                hint=f"CREATE UNIQUE INDEX ON {view.id.sql()} (…), then REFRESH MATERIALIZED VIEW CONCURRENTLY",
            )
