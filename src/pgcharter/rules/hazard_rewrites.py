"""Migrations: tables written anew, or read whole, while nobody may use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.findings import Finding, Severity
from pgcharter.names import ObjectId, cut, quote
from pgcharter.rules import nodes
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazards import costly, effect, in_use, instead, rewrites_for_certain, seen
from pgcharter.rules.moves import Move, moves, written
from pgcharter.sqltext import enum_name, trees

_VOLATILE = frozenset({"nextval", "gen_random_uuid", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "uuidv4", "uuidv7",
                       "random", "random_normal", "clock_timestamp", "timeofday"})  # fmt: skip
"""Functions of which it is certain, without a server, that each row gets another value (pg_proc.provolatile of PostgreSQL 15 to 18)."""
_SERIAL = frozenset({"serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"})


def _columns(move: Move) -> Iterator[Any]:
    """The columns that an ALTER TABLE adds to a table in use."""
    for kind, command in move.commands():
        if kind == "AT_AddColumn":
            yield getattr(command, "def").column_def


def _cause(node: Any) -> str:
    """Why a new column has to be written into every row, as far as its text tells; empty when it does not."""
    type_name = node.type_name.names[-1].string.sval if node.type_name.names else ""
    if type_name in _SERIAL:
        return f"{type_name} draws a number for each row"
    for item in node.constraints:
        kind = enum_name(item.constraint, "contype")
        if kind == "CONSTR_IDENTITY":
            return "an identity draws a number for each row"
        if kind == "CONSTR_GENERATED" and getattr(item.constraint, "generated_kind", "s") != "v":
            return "a stored generated column is calculated for each row"
        if kind == "CONSTR_DEFAULT":
            volatile = sorted(_VOLATILE & set(nodes.functions(item.constraint.raw_expr)))
            if volatile:
                return f"{volatile[0]}() gives another value for each row"
    return ""


@rule("MIG11", "column-added-by-rewriting", Severity.WARNING, needs="text")
def column_added_by_rewriting(ctx: Context) -> Iterator[Finding]:
    """ADD COLUMN that writes the whole table anew.

    Why: a volatile default, serial, identity, a stored generated column and a domain with a constraint give each row a value of its own,
    so table and indexes are written anew with readers and writers waiting. A constant default does not, and neither does
    `DEFAULT now()`, which is one value for all rows.
    Instead: add the column without the default, set the default for new rows, fill old rows in batches.
    Except: tables that the same migration makes; small tables.
    """
    for move in moves(ctx):
        added = list(_columns(move))
        if not added:
            continue
        table = move.statement.node.relation
        found = seen(move, table)
        causes = [(c, _cause(c)) for c in added]
        if found is None:
            causes = [(c, why) for c, why in causes if why]
            if not causes and len(move.statement.node.cmds) == 1 and rewrites_for_certain(ctx, move):
                causes = [(added[0], _unwritten(added[0]))]
        elif not found.rewritten or any(kind == "AT_AlterColumnType" for kind, _ in move.commands()):
            continue
        else:
            causes = [(c, why) for c, why in causes if why] or [(added[0], _unwritten(added[0]))]
        for column, why in causes:
            yield from costly(
                ctx, move, table, f"column {quote(column.colname)} makes {move.table} be written anew while everybody waits: {why}",
                hint=_slowly(move, column),
                detail=f"{move.table}.{quote(column.colname)}",
            )  # fmt: skip


def _slowly(move: Move, node: Any) -> str:
    """How a column with a value of its own for each row is added without writing the table anew."""
    default = next((c.constraint.raw_expr for c in node.constraints if enum_name(c.constraint, "contype") == "CONSTR_DEFAULT"), None)
    if default is None:
        return "add it as a plain column that may be null, give it its default or trigger, and fill old rows in batches"
    table, name = move.table, quote(node.colname)
    first = trees.column(node, "CONSTR_DEFAULT", "CONSTR_NOTNULL", "CONSTR_CHECK", "CONSTR_UNIQUE", "CONSTR_PRIMARY")
    steps = [f"ALTER TABLE {table} ADD COLUMN {first}", f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {trees.expression(default)}"]
    rest = " and add its constraints as to any other column" if len(node.constraints) > 1 else ""
    return instead(steps, f"then fill old rows in batches{rest}")


def _unwritten(node: Any) -> str:
    """Why a column that looks harmless was seen to rewrite its table."""
    if any(enum_name(i.constraint, "contype") == "CONSTR_DEFAULT" for i in node.constraints):
        return "its default gives another value for each row, or its type checks each value"
    return "its type is a domain that checks each value"


@rule("MIG12", "column-added-with-a-scan", Severity.WARNING, needs="text")
def column_added_with_a_scan(ctx: Context) -> Iterator[Finding]:
    """ADD COLUMN with a CHECK inside, or with REFERENCES and a default.

    Why: PostgreSQL reads the whole table to check a column that it has just made, with readers and writers waiting.
    Instead: add the column, then the constraint with NOT VALID, then VALIDATE CONSTRAINT in another transaction.
    Except: tables that the same migration makes; REFERENCES without a default, where every value is NULL.
    """
    for move in moves(ctx):
        for column in _columns(move):
            table = move.statement.node.relation
            found = seen(move, table)
            kinds = {enum_name(i.constraint, "contype") for i in column.constraints}
            what = "check" if "CONSTR_CHECK" in kinds else "foreign key" if kinds >= {"CONSTR_FOREIGN", "CONSTR_DEFAULT"} else ""
            if not what or (bool(_cause(column)) if found is None else not found.scanned or found.rewritten):
                continue
            yield from costly(
                ctx, move, table,
                f"the {what} of the new column {quote(column.colname)} reads all of {move.table} while readers and writers wait",
                hint=_after_the_column(move, column) if what == "check" else _REFERENCE,
                detail=f"{move.table}.{quote(column.colname)}",
            )  # fmt: skip


_REFERENCE = "add the column without REFERENCES, then ADD CONSTRAINT ... FOREIGN KEY ... NOT VALID, then VALIDATE it in another transaction"


def _after_the_column(move: Move, node: Any) -> str:
    """The column first, and its check as a constraint that is validated while others work."""
    check = next(c.constraint for c in node.constraints if enum_name(c.constraint, "contype") == "CONSTR_CHECK")
    name = quote(check.conname or cut(f"{move.statement.node.relation.relname}_{node.colname}_check"))
    steps = [
        f"ALTER TABLE {move.table} ADD COLUMN {trees.column(node, 'CONSTR_CHECK')}",
        f"ALTER TABLE {move.table} ADD CONSTRAINT {name} CHECK ({trees.expression(check.raw_expr)}) NOT VALID",
        f"ALTER TABLE {move.table} VALIDATE CONSTRAINT {name}",
    ]
    return instead(steps, "each statement in a transaction of its own")


@rule("MIG13", "type-change-that-rewrites", Severity.WARNING, needs="text")
def type_change_that_rewrites(ctx: Context) -> Iterator[Finding]:
    """A change of a column's type for which the table is written anew, or read whole.

    Why: table and indexes are written anew with readers and writers waiting; for a narrower type rows are lost or the change fails.
    Widening varchar, varchar to text, more digits of numeric with the same scale and more digits of a second touch no row.
    Instead: a new column of the new type, kept in step by a trigger, filled in batches, and then exchanged.
    Except: changes that touch no row; tables that the same migration makes. Without a server the old type is not known, and nothing
    is said.
    """
    for move in moves(ctx):
        changed = [c.name for kind, c in move.commands() if kind == "AT_AlterColumnType"]
        found = seen(move, move.statement.node.relation) if changed else None
        if found is None or not (found.rewritten or found.scanned or _indexes_rebuilt(move)):
            continue
        table = move.statement.node.relation
        what = "writes the whole table anew" if found.rewritten else "reads the whole table"
        names = ", ".join(map(quote, changed))
        yield from costly(
            ctx, move, table, f"the new type of {move.table}.{names} {what} while readers and writers wait",
            hint="a new column of the new type, kept in step by a trigger, filled in batches, then exchanged: `pgcharter plan` writes that",
            detail=f"{move.table}.{names}",
        )  # fmt: skip


def _indexes_rebuilt(move: Move) -> bool:
    found = effect(move)
    return found is not None and any(r.kind == "index" for r in found.rewrites)


_ZONES = {"timestamptz": "timestamp", "timestamp": "timestamptz"}


@rule("MIG14", "time-zone-decides", Severity.WARNING, needs="text")
def time_zone_decides(ctx: Context) -> Iterator[Finding]:
    """A change between timestamp and timestamptz that depends on the session's time zone.

    Why: old values are taken for times in the TimeZone of whoever runs the migration: another session, other moments in the table. With
    UTC the change touches no row, with any other zone the table is written anew while readers and writers wait.
    Instead: say what the old values mean: `SET LOCAL TimeZone = 'UTC'` before it, or `USING created_at AT TIME ZONE 'Europe/Berlin'`.
    Except: tables that the same migration makes.
    """
    stamps = _written_stamps(ctx)
    for move in moves(ctx):
        for kind, command in move.commands():
            if kind != "AT_AlterColumnType":
                continue
            column = getattr(command, "def").column_def
            new = column.type_name.names[-1].string.sval
            old = stamps.get((move.statement.node.relation.relname, command.name), "")
            stamps[move.statement.node.relation.relname, command.name] = new
            if new not in _ZONES or old != _ZONES[new] or _says_zone(column) or "timezone" in move.settings:
                continue
            yield ctx.finding(
                move.statement,
                f"{move.table}.{quote(command.name)} becomes {new} by the TimeZone of the session that runs this: old values are "
                "taken for times in that zone, and with any but UTC the table is written anew while everybody waits",
                hint="SET LOCAL TimeZone = 'UTC' before it, if the old values are in UTC; else USING ... AT TIME ZONE '...'",
                detail=f"{move.table}.{quote(command.name)}",
            )  # fmt: skip


def _says_zone(column: Any) -> bool:
    """Whether USING says what the old values mean: a cast does not."""
    using = column.raw_default
    while using.WhichOneof("node") == "type_cast":
        using = using.type_cast.arg
    return bool(column.HasField("raw_default") and using.WhichOneof("node") != "column_ref")


def _written_stamps(ctx: Context) -> dict[tuple[str, str], str]:
    """Type of the timestamp columns that the text writes down, by table and column."""
    found = {}
    for table in nodes.parts(ctx):
        for column in table.columns:
            if column.type in _ZONES:
                found[table.id.name, column.name] = column.type
    return found


_WHOLE = {
    "AT_SetLogged": "SET LOGGED",
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetTableSpace": "SET TABLESPACE",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
}


@rule("MIG15", "table-written-anew", Severity.WARNING, needs="text")
def table_written_anew(ctx: Context) -> Iterator[Finding]:
    """CLUSTER, VACUUM FULL, SET LOGGED, SET UNLOGGED, SET TABLESPACE or SET ACCESS METHOD on a table in use.

    Why: the table is copied with the strongest lock held: nobody reads or writes until the last row and index is done, and the disk
    holds both copies meanwhile.
    Instead: pg_repack or pg_squeeze, which copy while everybody works; or a window in which nobody does.
    Except: tables that the same migration makes.
    """
    for move in moves(ctx):
        for word, table in _copied(move):
            found = seen(move, table) if table is not None else None
            if found is not None and not found.rewritten:
                continue
            name = written(table) if table is not None else "every table"
            yield from costly(
                ctx, move, table, f"{word} writes {name} anew with readers and writers waiting until it is done",
                hint=_COPIES.get(word, "do it in a window in which nobody works"), detail=name,
            )  # fmt: skip


_COPIES = {
    "CLUSTER": "pg_repack or pg_squeeze, which copy while everybody works; or a window in which nobody does",
    "VACUUM FULL": "VACUUM without FULL; to give space back, pg_repack or pg_squeeze; or a window in which nobody works",
    "SET TABLESPACE": "pg_repack --tablespace, or a window in which nobody works",
}


def _copied(move: Move) -> Iterator[tuple[str, Any]]:
    """What copies which table in use; None for all tables."""
    node, kind = move.statement.node, move.statement.kind
    if kind == "alter_table_stmt" and enum_name(node, "objtype") != "OBJECT_INDEX":
        yield from ((_WHOLE[k], node.relation) for k, _ in move.commands() if k in _WHOLE)
    elif kind in ("cluster_stmt", "repack_stmt") and node.HasField("relation") and not move.fresh(node.relation):
        yield "CLUSTER", node.relation
    elif kind == "vacuum_stmt" and any(o.def_elem.defname == "full" for o in node.options):
        tables = [r.vacuum_relation.relation for r in node.rels]
        yield from (("VACUUM FULL", t) for t in tables or [None] if t is None or not move.fresh(t))


@rule("MIG16", "refresh-while-readers-wait", Severity.WARNING, needs="text")
def refresh_while_readers_wait(ctx: Context) -> Iterator[Finding]:
    """REFRESH MATERIALIZED VIEW without CONCURRENTLY.

    Why: the view is locked against reading until its query is done.
    Instead: `REFRESH MATERIALIZED VIEW CONCURRENTLY v`, which needs a unique index over all rows and a view that has been filled before.
    Except: views that the same migration makes; WITH NO DATA.
    """
    for move in moves(ctx):
        node = move.statement.node
        if move.statement.kind == "refresh_mat_view_stmt" and not node.concurrent and not node.skip_data and not move.fresh(node.relation):
            unique = _has_whole_unique_index(ctx, node.relation)
            yield from costly(
                ctx, move, node.relation, f"materialized view {written(node.relation)} cannot be read until it is refreshed",
                hint=instead(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {written(node.relation)}") if unique else _NEEDS,
                detail=written(node.relation),
            )  # fmt: skip


_NEEDS = "CONCURRENTLY, which needs a unique index without WHERE over columns of the view"


def _has_whole_unique_index(ctx: Context, node: Any) -> bool:
    views = [v for v in ctx.catalog.views if v.name == node.relname and node.schemaname in ("", v.schema)]
    return any(i.unique and not i.predicate for v in views for i in v.indexes)


@rule("MIG17", "partition-attached-with-a-scan", Severity.WARNING, needs="text")
def partition_attached_with_a_scan(ctx: Context) -> Iterator[Finding]:
    """ATTACH PARTITION, or a new partition beside a default one, for which a table in use is read whole.

    Why: PostgreSQL reads the table that is attached, and the default partition, to see that every row is where it belongs, with the
    strongest lock on both. The parent itself goes on: it is locked with SHARE UPDATE EXCLUSIVE only.
    Instead: a CHECK with the partition's bounds on the table, NOT VALID and then validated, before it is attached; a default partition
    gets a CHECK that excludes them.
    Except: empty tables; those that the same migration makes. Seen when the migration is built on a server.
    """
    for move in moves(ctx):
        if not _brings_a_partition(move):
            continue
        found = effect(move)
        held = dict(in_use(move))
        for table in found.scans if found else ():
            if table in held:
                yield from _attached(ctx, move, table)


def _attached(ctx: Context, move: Move, table: ObjectId) -> Iterator[Finding]:
    name = quote(cut(f"{table.name}_bounds"))
    yield from costly(
        ctx, move, table, f"{table.sql()} is read whole with its readers and writers waiting, to see that every row is where it belongs",
        hint=f"before it: ALTER TABLE {table.sql()} ADD CONSTRAINT {name} CHECK (...) NOT VALID, then VALIDATE CONSTRAINT {name}",
        detail=table.sql(),
    )  # fmt: skip


def _brings_a_partition(move: Move) -> bool:
    node = move.statement.node
    if move.statement.kind == "create_stmt":
        return bool(node.HasField("partbound"))
    kinds = [enum_name(i.alter_table_cmd, "subtype") for i in node.cmds] if move.statement.kind == "alter_table_stmt" else []
    return "AT_AttachPartition" in kinds
