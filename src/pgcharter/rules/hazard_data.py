"""Migrations that change rows."""

from __future__ import annotations

from collections.abc import Iterator

from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazards import costly, many_rows, size
from pgcharter.rules.moves import Move, every, moves, written
from pgcharter.sqltext import enum_name, walk


@rule("MIG30", "whole-table-changed-at-once", Severity.WARNING, needs="text")
def whole_table_changed_at_once(ctx: Context) -> Iterator[Finding]:
    """UPDATE or DELETE of a whole table in one statement.

    Why: every row stays locked until the last one is done, the table doubles, replicas fall behind, and a failure at the end loses all.
    Instead: batches along the primary key, each committed: `pgcharter` runs a statement below `-- pgcharter: batched` so.
    Except: tables that the same migration makes; small tables; rows named by a value, a range or a LIMIT; statements below that mark.
    """
    for move in every(ctx):
        work = many_rows(move) if move.statement.kind in ("update_stmt", "delete_stmt") else ""
        if not work or _batched(move) or (move.inside and not _whole(move)):
            continue
        updates = move.statement.kind == "update_stmt"
        which = "every row that matches" if move.statement.node.HasField("where_clause") else "every row"
        yield from costly(
            ctx, move, move.statement.node.relation,
            f"{work} {'changes' if updates else 'takes'} {which} in one statement: they stay locked"
            f"{', and the table grows,' * updates} until it is done",
            hint="batches along the primary key, each committed; `-- pgcharter: batched` above it lets `pgcharter migrate up` do that",
            detail=work,
        )  # fmt: skip


def _whole(move: Move) -> bool:
    """Whether a statement of a block certainly means all rows: what looks like a column in its condition may be a variable."""
    where = move.statement.node.where_clause
    return move.inside == "block" and where.WhichOneof("node") in (None, "null_test")


def _batched(move: Move) -> bool:
    """Whether pgcharter's mark stands between the last statement and this one: `-- pgcharter: batched by id`."""
    above = move.file.text[: move.statement.offset].rpartition(";")[2]
    return "pgcharter:" in above and "batched" in above.rpartition("pgcharter:")[2].partition("\n")[0]


@rule("MIG31", "no-analyze-after-backfill", Severity.INFO, needs="text")
def no_analyze_after_backfill(ctx: Context) -> Iterator[Finding]:
    """Rows filled and an index made on what was filled, without ANALYZE.

    Why: until autovacuum comes by, the planner's statistics say that the column is empty: it does not use the new index, or uses it badly.
    Instead: `ANALYZE orders (status)` at the end.
    Except: tables that the same migration makes.
    """
    filled: dict[tuple[str, str], set[str]] = {}
    analysed: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], Move] = {}
    for move in moves(ctx):
        node, kind = move.statement.node, move.statement.kind
        if kind == "update_stmt" and many_rows(move):
            columns = {t.res_target.name for t in node.target_list}
            filled.setdefault((move.unit, node.relation.relname), set()).update(columns)
        elif kind == "index_stmt" and not move.fresh(node.relation):
            keys = {p.index_elem.name for p in node.index_params}
            if keys & filled.get((move.unit, node.relation.relname), set()):
                found[move.unit, node.relation.relname] = move
        elif kind == "vacuum_stmt" and (not node.is_vacuumcmd or any(o.def_elem.defname == "analyze" for o in node.options)):
            names = {r.vacuum_relation.relation.relname for r in node.rels}
            analysed.update((unit, name) for unit, name in found if not names or name in names)
    for key, move in found.items():
        if key not in analysed:
            table = written(move.statement.node.relation)
            yield ctx.finding(
                move.statement, f"the planner knows nothing of what was just filled into {table}: it may not use the new index",
                fix=f"ANALYZE {table}", detail=table,
            )  # fmt: skip


@rule("MIG32", "required-column-without-value", Severity.ERROR, needs="text")
def required_column_without_value(ctx: Context) -> Iterator[Finding]:
    """ADD COLUMN ... NOT NULL without a default, on a table in use.

    Why: it fails as soon as the table has a row ("column contains null values"), though it works on the empty table of every test.
    Instead: a constant default, which touches no row; or the column nullable, filled in batches, then SET NOT NULL (see MIG10).
    Except: tables that the same migration makes; identity, serial and generated columns.
    """
    for move in moves(ctx):
        for kind, command in move.commands():
            column = getattr(command, "def").column_def
            if kind != "AT_AddColumn":
                continue
            kinds = {enum_name(c.constraint, "contype") for c in column.constraints}
            type_name = column.type_name.names[-1].string.sval if column.type_name.names else ""
            rows = size(ctx, move.statement.node.relation)
            required = kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY"}
            if (
                required
                and (rows is None or rows.rows)
                and not kinds & {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"}
                and "serial" not in type_name
                and not _domain_default(ctx, type_name)
            ):
                yield ctx.finding(
                    move.statement,
                    f"column {quote(column.colname)} is required and has no default: adding it fails when {move.table} has rows",
                    hint="a constant DEFAULT touches no row; else nullable, fill, then SET NOT NULL",
                    detail=f"{move.table}.{quote(column.colname)}",
                )  # fmt: skip


def _domain_default(ctx: Context, name: str) -> bool:
    """Whether a type of that name is a domain that brings a default."""
    made = (s.node for s in ctx.of_kind("create_domain_stmt"))
    return any(
        d.domainname[-1].string.sval == name and any(n == "Constraint" and enum_name(c, "contype") == "CONSTR_DEFAULT" for n, c in walk(d))
        for d in made
    )
