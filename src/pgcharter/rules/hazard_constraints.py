"""Migrations: constraints added to a table while others want to work with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgcharter.findings import Finding, Severity
from pgcharter.names import cut, quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazards import costly, instead, partitioned, seen
from pgcharter.rules.moves import Move, moves, written
from pgcharter.sqltext import enum_name

_ADDED = {"CONSTR_CHECK": "check constraint", "CONSTR_FOREIGN": "foreign key", "CONSTR_NOTNULL": "not-null constraint"}


def _constraints(move: Move) -> Iterator[tuple[str, Any]]:
    """The table constraints that an ALTER TABLE adds to a table in use, with their kinds."""
    for kind, command in move.commands():
        definition = getattr(command, "def")
        if kind == "AT_AddConstraint" and definition.HasField("constraint"):
            yield enum_name(definition.constraint, "contype"), definition.constraint


@rule("MIG06", "constraint-checked-at-once", Severity.WARNING, needs="text")
def constraint_checked_at_once(ctx: Context) -> Iterator[Finding]:
    """A check or foreign key added to a table in use and checked in the same step.

    Why: every row is read while nobody may write: for a check with the strongest lock, so that nobody reads either, for a foreign key
    with writers of both tables waiting.
    Instead: `ADD CONSTRAINT ... NOT VALID`, which holds for new rows at once, then in another transaction
    `VALIDATE CONSTRAINT`, which lets everybody go on.
    Except: tables that the same migration makes. UNIQUE, PRIMARY KEY and EXCLUDE know no NOT VALID: see MIG08.
    """
    for move in moves(ctx):
        for kind, node in _constraints(move):
            table = move.statement.node.relation
            found = seen(move, table)
            if kind not in _ADDED or node.skip_validation or (found is not None and not found.long):
                continue
            both = f" and {written(node.pktable)}" if kind == "CONSTR_FOREIGN" and written(node.pktable) != move.table else ""
            who = "writers of" if kind == "CONSTR_FOREIGN" else "readers and writers of"
            apart = kind == "CONSTR_FOREIGN" and partitioned(ctx, table)
            alone = len(move.statement.node.cmds) == 1 and node.conname and not apart
            name = f" {quote(node.conname)}" if node.conname else ""
            yield from costly(
                ctx, move, table, f"{_ADDED[kind]}{name} reads all of {move.table} while {who} {move.table}{both} wait",
                detail=node.conname or move.table,
                hint=instead(_in_two_steps(move, node), _SPLIT) if alone else _NAMELESS,
            )  # fmt: skip


_SPLIT = "each statement in a transaction of its own"
_NAMELESS = "give it a name, add it NOT VALID, then VALIDATE CONSTRAINT in another transaction"


def _in_two_steps(move: Move, node: Any) -> list[str]:
    return [f"{move.statement.text} NOT VALID", f"ALTER TABLE {move.table} VALIDATE CONSTRAINT {quote(node.conname)}"]


@rule("MIG07", "validated-in-the-same-transaction", Severity.WARNING, needs="text")
def validated_in_the_same_transaction(ctx: Context) -> Iterator[Finding]:
    """VALIDATE CONSTRAINT in the transaction that added the constraint.

    Why: the lock of ADD CONSTRAINT is kept to the end of the transaction, so all rows are read under it: NOT VALID has won nothing.
    Instead: commit in between, or validate in the next migration.
    Except: none.
    """
    held: set[tuple[int, str, str]] = set()
    for move in moves(ctx):
        if move.statement.kind != "alter_table_stmt":
            continue
        for kind, command in move.commands():
            definition = getattr(command, "def")
            if kind == "AT_AddConstraint" and definition.constraint.skip_validation and move.block:
                held.add((move.block, move.file.name, move.statement.node.relation.relname))
            elif kind == "AT_ValidateConstraint" and (move.block, move.file.name, move.statement.node.relation.relname) in held:
                yield ctx.finding(
                    move.statement,
                    f"constraint {quote(command.name)} is validated while its transaction still holds the lock by which it was added: "
                    f"{move.table} is read whole with others waiting",
                    hint="COMMIT before it, or validate in the next migration", detail=command.name,
                )  # fmt: skip


_BUILT = {"CONSTR_UNIQUE": "UNIQUE", "CONSTR_PRIMARY": "PRIMARY KEY", "CONSTR_EXCLUSION": "EXCLUDE"}


@rule("MIG08", "key-built-while-others-wait", Severity.WARNING, needs="text")
def key_built_while_others_wait(ctx: Context) -> Iterator[Finding]:
    """UNIQUE, PRIMARY KEY or EXCLUDE added to a table in use, so that its index is built under the lock.

    Why: the index is built with the strongest lock on the table held: readers and writers wait until it is done.
    Instead: `CREATE UNIQUE INDEX CONCURRENTLY i ON t (c)`, then `ALTER TABLE t ADD CONSTRAINT i UNIQUE USING INDEX i`, which is quick.
    Such constraints cannot be added NOT VALID, whatever is said elsewhere.
    Except: tables that the same migration makes. For EXCLUDE PostgreSQL has no other way: do it while nobody works.
    """
    for move in moves(ctx):
        for kind, node in _constraints(move):
            table = move.statement.node.relation
            found = seen(move, table)
            if kind not in _BUILT or node.indexname or (found is not None and not found.long):
                continue
            name = f" {quote(node.conname)}" if node.conname else ""
            yield from costly(
                ctx, move, table, f"{_BUILT[kind]}{name} on {move.table} builds its index while readers and writers wait",
                detail=node.conname or move.table,
                hint=instead(_using_index(move, kind, node), _HOW[kind]),
            )  # fmt: skip


_HOW = {
    "CONSTR_UNIQUE": "the first statement outside any transaction",
    "CONSTR_PRIMARY": "the first statement outside any transaction; columns that may be null need SET NOT NULL first",
    "CONSTR_EXCLUSION": "PostgreSQL has no concurrent form of it: run it while nobody works",
}


def _using_index(move: Move, kind: str, node: Any) -> list[str]:
    """The two statements, where names and columns are certain."""
    simple = node.conname and node.keys and len(move.statement.node.cmds) == 1 and not node.without_overlaps
    if kind == "CONSTR_EXCLUSION" or not simple:
        return []
    name, columns = quote(node.conname), ", ".join(quote(k.string.sval) for k in node.keys)
    including = f" INCLUDE ({', '.join(quote(k.string.sval) for k in node.including)})" if node.including else ""
    nulls = " NULLS NOT DISTINCT" * node.nulls_not_distinct
    deferred = " DEFERRABLE" * node.deferrable + " INITIALLY DEFERRED" * node.initdeferred
    return [
        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {move.table} ({columns}){including}{nulls}",
        f"ALTER TABLE {move.table} ADD CONSTRAINT {name} {_BUILT[kind]} USING INDEX {name}{deferred}",
    ]


@rule("MIG09", "primary-key-over-nullable-columns", Severity.WARNING, needs="text")
def primary_key_over_nullable_columns(ctx: Context) -> Iterator[Finding]:
    """PRIMARY KEY USING INDEX over columns that may be null.

    Why: PostgreSQL makes the columns NOT NULL on the way, and reads the whole table for it with the strongest lock held. What looks
    like the quick form is the slow one.
    Instead: make them NOT NULL first, by way of a validated CHECK (see MIG10), then add the key.
    Except: columns that are NOT NULL already. Seen when the migration is built on a server; text alone does not tell.
    """
    for move in moves(ctx):
        for kind, node in _constraints(move):
            table = move.statement.node.relation
            found = seen(move, table)
            if kind == "CONSTR_PRIMARY" and node.indexname and found is not None and found.long:
                yield from costly(
                    ctx, move, table,
                    f"PRIMARY KEY USING INDEX {quote(node.indexname)} reads all of {move.table} while readers and writers wait, because "
                    "columns of it may be null",
                    hint="set them NOT NULL first, by way of a validated CHECK", detail=node.indexname,
                )  # fmt: skip


@rule("MIG10", "not-null-that-scans", Severity.WARNING, needs="text")
def not_null_that_scans(ctx: Context) -> Iterator[Finding]:
    """SET NOT NULL on a table in use, without a CHECK that proves it.

    Why: every row is read with the strongest lock held: readers and writers wait.
    Instead: `ADD CONSTRAINT c CHECK (col IS NOT NULL) NOT VALID`, then `VALIDATE CONSTRAINT c`, which lets everybody go on; after it SET
    NOT NULL takes a moment, and the check can go. From PostgreSQL 18: `ADD CONSTRAINT c NOT NULL col NOT VALID`, then VALIDATE.
    Except: tables that the same migration makes; columns with such a check.
    """
    proven: set[tuple[str, str]] = set()
    for move in moves(ctx):
        proven.update(_proofs(move))
        for kind, command in move.commands():
            if kind != "AT_SetNotNull":
                continue
            table = move.statement.node.relation
            found = seen(move, table)
            if (not found.long) if found is not None else ((table.relname, command.name) in proven):
                continue
            yield from costly(
                ctx, move, table,
                f"SET NOT NULL on {move.table}.{quote(command.name)} reads the whole table while readers and writers wait",
                hint=instead(_by_a_check(move, command.name), _SPLIT),
                detail=f"{move.table}.{quote(command.name)}",
            )  # fmt: skip


def _proofs(move: Move) -> Iterator[tuple[str, str]]:
    """Table and column that a check `col IS NOT NULL` names: where only text is at hand it is taken for validated."""
    if move.statement.kind != "alter_table_stmt":
        return
    for item in move.statement.node.cmds:
        node = getattr(item.alter_table_cmd, "def").constraint
        test = node.raw_expr.null_test
        if enum_name(test, "nulltesttype") == "IS_NOT_NULL" and test.arg.column_ref.fields:
            yield move.statement.node.relation.relname, test.arg.column_ref.fields[-1].string.sval


def _by_a_check(move: Move, column: str) -> list[str]:
    name, table = quote(cut(f"{move.statement.node.relation.relname}_{column}_not_null")), move.table
    return [
        f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({quote(column)} IS NOT NULL) NOT VALID",
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}",
        f"ALTER TABLE {table} ALTER COLUMN {quote(column)} SET NOT NULL",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    ]
