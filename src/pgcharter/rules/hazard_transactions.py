"""Migrations: what stands together in one transaction, and what a session carries from one file into the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from pgcharter.catalog.effect import Mode
from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazards import alone, costly, held, many_rows, small, spread
from pgcharter.rules.migration_files import SENT_WHOLE, beside, file_of
from pgcharter.rules.moves import Move, dotted, moves
from pgcharter.sqltext import enum_name, walk


@rule("MIG04", "refused-in-a-transaction", Severity.ERROR, needs="text")
def refused_in_a_transaction(ctx: Context) -> Iterator[Finding]:
    """A statement that PostgreSQL refuses inside a transaction, inside one.

    Why: CREATE INDEX CONCURRENTLY, VACUUM and their like end with "cannot run inside a transaction block": the migration fails. A
    transaction is opened by BEGIN, by the tool around the file (dbmate, goose, Liquibase, Alembic), or by sending a whole file at once.
    Instead: the statement in a migration of its own that asks for no transaction: `-- migrate:up transaction:false` (dbmate),
    `-- +goose NO TRANSACTION`, `runInTransaction:false` (Liquibase), `with op.get_context().autocommit_block():` (Alembic).
    Except: none.
    """
    for move in moves(ctx):
        what = alone(move.statement)
        if not what or move.opened == "supabase":
            continue
        file = move.file
        who = _WHO.get(move.opened, move.opened)
        if not move.block and file.tool == "flyway" and not file.unwrapped and _mixed(ctx, file.name):
            who = "Flyway, which refuses a file that mixes both kinds of statement"
        elif not move.block:
            continue
        yield ctx.finding(
            move.statement, f"{what} is refused inside a transaction, and this one is opened by {who}: the migration fails",
            hint=_ASK.get(move.opened or file.tool, "put it into a file of its own, without BEGIN"), detail=move.statement.text[:60],
        )  # fmt: skip
    yield from _on_the_way_back(ctx)


def _on_the_way_back(ctx: Context) -> Iterator[Finding]:
    """The same for what leads back: whoever needs it needs it at once."""
    for name, group in groupby(ctx.reading.back, key=lambda s: s.place.file):
        statements = list(group)
        file = file_of(name, ctx.reading.texts.get(name, ""), ctx.reading.source, beside(ctx.reading.texts, name))
        who = _WHO.get(file.tool, file.tool) if file.wraps_back else ""
        if not who and file.sent_whole and len(statements) > 1:
            who = SENT_WHOLE
        begun = False
        for s in statements:
            if s.kind == "transaction_stmt":
                begun = enum_name(s.node, "kind") in ("TRANS_STMT_BEGIN", "TRANS_STMT_START")
            elif (what := alone(s)) and (begun or who):
                yield ctx.finding(
                    s,
                    f"{what} is refused inside a transaction, and this one is opened by {_WHO['BEGIN'] if begun else who}: "
                    "the way back fails",
                    hint=_ASK_BACK.get(file.tool, "without BEGIN, in a file of its own"), detail=f"back: {s.text[:60]}",
                )  # fmt: skip


_ASK_BACK = {"dbmate": "-- migrate:down transaction:false", "goose": "-- +goose NO TRANSACTION at the head of the file"}


_WHO = {"BEGIN": "the BEGIN above it", "dbmate": "dbmate around every file", "goose": "goose around every file",
        "sql-migrate": "sql-migrate around every file", "liquibase": "Liquibase around every changeset",
        "diesel": "Diesel around every migration", "drizzle": "Drizzle around all migrations",
        "hasura": "Hasura around every migration", "flyway": "Flyway, by executeInTransaction=true"}  # fmt: skip
_ASK = {
    "dbmate": "a file of its own with `-- migrate:up transaction:false`",
    "goose": "a file of its own with `-- +goose NO TRANSACTION`",
    "sql-migrate": "a file of its own with `-- +migrate Up notransaction`",
    "diesel": "a migration of its own with run_in_transaction = false in its metadata.toml",
    "drizzle": "run it by hand, and leave it out of the migrations: Drizzle has no mark for it",
    "flyway": "a file of its own, or executeInTransaction=false in a file beside it that is called as it, with .conf",
    "liquibase": "a changeset of its own with runInTransaction:false",
    "alembic": "with op.get_context().autocommit_block(): around it",
}


def _mixed(ctx: Context, file: str) -> bool:
    """Whether a file has statements of both kinds, beside settings."""
    return any(not alone(m.statement) and m.statement.kind != "variable_set_stmt" for m in moves(ctx) if m.file.name == file)


def _blocks(ctx: Context, *, whole: bool = False) -> Iterator[list[Move]]:
    """The statements of each transaction of more than one; `whole`: of all revisions that Alembic runs in one, on a database that has none.

    Where a database is in use its revisions come one by one, as they are released.
    """
    found: dict[tuple[int, str], list[Move]] = {}
    for move in moves(ctx):
        if move.block:
            found.setdefault((move.block, "" if whole else move.file.name), []).append(move)
    return (block for block in found.values() if len(block) > 1)


@rule("MIG22", "several-tables-locked-together", Severity.INFO, needs="text")
def several_tables_locked_together(ctx: Context) -> Iterator[Finding]:
    """Strong locks on several tables in use, one after another in one transaction.

    Why: the first table stays locked while the transaction waits for the second: all of its users wait for a lock they have nothing to do
    with, and an application that takes the two the other way round meets a deadlock.
    Instead: one table a transaction.
    Except: tables that the same migration makes; a single statement that needs both.
    """
    for block in _blocks(ctx):
        first: dict[str, Move] = {}
        for move in block:
            new = [table for table, mode in held(move) if mode.stops_reads and table not in first]
            if new and first:
                yield ctx.finding(
                    move.statement, f"{new[0]} is locked while {', '.join(first)} stays locked to the end of the transaction: "
                    "who needs the one waits for the other too",
                    hint="one table a transaction, each in a file of its own", detail=f"{new[0]} after {', '.join(first)}",
                )  # fmt: skip
                break
            first.update(dict.fromkeys(new, move))


@rule("MIG23", "lock-order-differs", Severity.WARNING, needs="text")
def lock_order_differs(ctx: Context) -> Iterator[Finding]:
    """Two transactions that lock the same tables in opposite order.

    Why: should the two ever run at the same time (two deployments, a retry, a fan-out over shared tables), each holds what the
    other waits for: PostgreSQL ends one of them with a deadlock.
    Instead: one order for all migrations, such as that of the names; or one table a transaction.
    Except: tables that the same migration makes.
    """
    seen: dict[tuple[str, str], Move] = {}
    for block in _blocks(ctx):
        if block[0].past:
            continue
        order: dict[str, Move] = {}
        for move in block:
            order.update({table: move for table, _ in held(move) if table not in order})
        names = list(order)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if order[a] is not order[b]]
        clash = next(((a, b) for a, b in pairs if (b, a) in seen), None)
        if clash:
            other = seen[clash[1], clash[0]].statement.place
            yield ctx.finding(
                order[clash[1]].statement,
                f"{clash[0]} is locked before {clash[1]}, and the other way round in {other.file}, line {other.line}: "
                "run at the same time, the two end in a deadlock",
                hint="one order for all, or one table a transaction", detail=f"{clash[0]} before {clash[1]}",
            )  # fmt: skip
        seen.update({pair: order[pair[1]] for pair in pairs if pair not in seen})


@rule("MIG24", "rows-changed-under-a-lock", Severity.WARNING, needs="text")
def rows_changed_under_a_lock(ctx: Context) -> Iterator[Finding]:
    """Many rows changed in the transaction that changes the table.

    Why: ALTER TABLE keeps its lock to the end of the transaction, so readers and writers of the table wait until the last row is
    changed. A backfill of a minute is an outage of a minute.
    Instead: change the table, commit, fill the rows in batches, and tighten the table in a later migration.
    Except: tables that the same migration makes; a few rows that are named by their key.
    """
    for block in _blocks(ctx):
        locked: dict[str, Mode] = {}
        for move in block:
            work = many_rows(move)
            strong = [t for t, mode in locked.items() if mode.stops_writes]
            if work and strong:
                yield from costly(
                    ctx, move, move.statement.node.relation,
                    f"{work} runs while {' and '.join(strong)} {'are' if strong[1:] else 'is'} locked to the end of the transaction: "
                    "the users of it wait until the last row is changed",
                    hint="commit before it, and fill the rows in batches", detail=work,
                )  # fmt: skip
            locked.update(dict(held(move)))


@rule("MIG26", "transaction-ends-elsewhere", Severity.WARNING, needs="text")
def transaction_ends_elsewhere(ctx: Context) -> Iterator[Finding]:
    """BEGIN without COMMIT, or BEGIN and COMMIT in a file that the tool runs in a transaction of its own.

    Why: without COMMIT everything is rolled back when the session ends, and the tool records the migration as done. COMMIT inside a
    file that dbmate, goose, sql-migrate or Liquibase wraps ends the tool's transaction: what follows, and the tool's own record, is no
    longer undone with the rest.
    Instead: one COMMIT for each BEGIN in the same file; none of either in a wrapped file.
    Except: none.
    """
    for _, group in groupby(moves(ctx), key=lambda m: m.file.name):
        yield from _of_file(ctx, [m for m in group if m.file.tool != "alembic"])


def _of_file(ctx: Context, group: list[Move]) -> Iterator[Finding]:
    began: Move | None = None
    for move in group:
        kind = enum_name(move.statement.node, "kind") if move.statement.kind == "transaction_stmt" else ""
        if kind in ("TRANS_STMT_BEGIN", "TRANS_STMT_START"):
            if move.opened not in ("", "BEGIN"):
                told = f"BEGIN inside the transaction that {move.opened} opens around this does nothing, and its COMMIT ends the tool's own"
                yield ctx.finding(move.statement, told, hint="leave BEGIN and COMMIT out", detail="begin")
            began = move
        elif kind in ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"):
            if began is None and move.block:
                word = move.statement.text.split()[0].upper()
                told = f"{word} ends the transaction that {move.opened} opens around this: what follows is not undone with the rest"
                yield ctx.finding(move.statement, told, hint="leave it out", detail="commit")
            began = None
    if began is not None and began.opened == "BEGIN":
        yield ctx.finding(began.statement, "this transaction is never committed: all of it is rolled back when the session ends",
                          hint="COMMIT at the end of the file", severity=Severity.ERROR, detail="open")  # fmt: skip


@rule("MIG27", "enum-value-used-at-once", Severity.ERROR, needs="text")
def enum_value_used_at_once(ctx: Context) -> Iterator[Finding]:
    """A new enum value used in the transaction that adds it.

    Why: PostgreSQL refuses it: "unsafe use of new value". The migration fails.
    Instead: commit after ALTER TYPE ... ADD VALUE; use the value in the next migration.
    Except: types that the same transaction makes.
    """
    for block in _blocks(ctx, whole=True):
        added: dict[str, str] = {}
        for move in block:
            node = move.statement.node
            if (
                move.statement.kind == "alter_enum_stmt"
                and node.new_val
                and not node.old_val
                and not move.is_fresh(*dotted(node.type_name))
            ):
                added[node.new_val] = dotted(node.type_name)[1]
                continue
            for used in sorted(added.keys() & _literals(move)) if added else ():
                yield ctx.finding(
                    move.statement,
                    f"'{used}' was added to {quote(added[used])} in this transaction and cannot be used in it: the migration fails",
                    hint="commit after ADD VALUE, or use it in the next migration", detail=used,
                )  # fmt: skip


def _literals(move: Move) -> set[str]:
    """String constants of a statement, and of the body of a block."""
    if move.statement.kind == "do_stmt":
        return {a or b for a, b in re.findall(r"'((?:[^']|'')*)'|\$\w*\$([^$]*)\$", move.statement.text)}
    if move.statement.kind in ("comment_stmt", "create_function_stmt", "variable_set_stmt"):
        return set()
    return {node.sval.sval for name, node in walk(move.statement.node) if name == "A_Const" and node.WhichOneof("val") == "sval"}


@rule("MIG28", "lock-hidden-in-a-block", Severity.INFO, needs="text")
def lock_hidden_in_a_block(ctx: Context) -> Iterator[Finding]:
    """A DO block, function or procedure that takes a strong lock on a table in use.

    Why: what runs inside is easily overlooked in review. Everything in a block is one transaction: its first lock is kept until its last
    statement is done.
    Instead: the statements themselves, in a migration that shows them; blocks for what is quick.
    Except: tables that the same migration makes; locks that let readers go on and are over in a moment. Seen when the migration is built
    on a server.
    """
    for move in moves(ctx):
        if move.statement.kind in ("do_stmt", "select_stmt", "call_stmt"):
            for table, (mode, touched) in spread(move).items():
                long = touched and not small(ctx, table)
                if not long and not mode.stops_reads:
                    continue
                what = "and reads or writes all of it meanwhile" if long else "and keeps it to the end of the block"
                who = "readers and writers" if mode.stops_reads else "writers"
                yield ctx.finding(
                    move.statement, f"this block locks {table.sql()} against {who} {what}",
                    severity=Severity.WARNING if long else None, hint=_IN_SIGHT,
                    detail=table.sql(), lock=mode.sql,
                )  # fmt: skip


_IN_SIGHT = "write the statement itself into the migration, in the form that lets others work"


@rule("MIG29", "advisory-lock-around-concurrent-build", Severity.WARNING, needs="text")
def advisory_lock_around_concurrent_build(ctx: Context) -> Iterator[Finding]:
    """CREATE INDEX CONCURRENTLY while an advisory lock is held against a second run.

    Why: a concurrent build waits for every transaction that is open. A second run that waits for the advisory lock is one, and so the two
    wait for each other: PostgreSQL ends one with a deadlock, and an invalid index stays. Flyway (from 9.1.2) holds its own lock in an open
    transaction, for which the build waits for ever.
    Instead: poll with `pg_try_advisory_lock` between transactions instead of waiting in one; for Flyway
    `flyway.postgresql.transactional.lock=false`. pgcharter's own runner polls.
    Except: the lock is given back before the build. What Flyway is configured to do stands elsewhere: allow the rule when that is set.
    """
    for file, group in groupby(moves(ctx), key=lambda m: m.file):
        taken: Move | None = None
        for move in group:
            text = move.statement.text.lower()
            if move.statement.kind in ("select_stmt", "do_stmt", "call_stmt"):
                taken = None if "pg_advisory_unlock" in text else move if "pg_advisory_lock" in text else taken
            what = alone(move.statement)
            if what not in ("CREATE INDEX CONCURRENTLY", "REINDEX CONCURRENTLY", "DROP INDEX CONCURRENTLY") or move.block:
                continue
            if taken is not None:
                told = f"{what} waits for a second run of this file, which waits in line {taken.statement.place.line} for the advisory lock"
                yield ctx.finding(move.statement, f"{told}: the two end in a deadlock, and an invalid index stays",
                                  hint="SELECT pg_advisory_unlock(...) before it", detail=move.statement.text[:60])  # fmt: skip
            elif file.tool == "flyway" and (file.unwrapped or not _mixed(ctx, file.name)):
                yield ctx.finding(
                    move.statement, f"{what} hangs under Flyway, which holds its lock in an open transaction that the build waits for",
                    hint="flyway.postgresql.transactional.lock=false in Flyway's configuration; when it is set, allow this rule",
                    severity=Severity.INFO, detail=move.statement.text[:60],
                )  # fmt: skip
                break
