"""Migrations: how long a lock is waited for, and what a session carries from one file into the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from pgcharter.findings import Finding, Severity
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazards import alone, held
from pgcharter.rules.moves import Move, moves, value
from pgcharter.sqltext import enum_name


@rule("MIG20", "lock-without-timeout", Severity.INFO, needs="text")
def lock_without_timeout(ctx: Context) -> Iterator[Finding]:
    """A strong lock on a table in use, without lock_timeout.

    Why: the statement may be over in a moment, but first it waits for whoever has the table, and everybody else waits behind it: one
    long report and one ALTER TABLE stop an application.
    Instead: `SET lock_timeout = '2s'` at the head of the file, and a runner that tries again; pgcharter's own does both.
    Except: files with marks of pgcharter, whose runner sets it; tables that the same migration makes; locks that let readers go on;
    settings that the role or the connection brings, which nobody sees here: allow the rule then.
    """
    told: set[str] = set()
    for move in moves(ctx):
        if move.file.tool == "pgcharter" or move.file.name in told or _limited(move):
            continue
        tables = [table for table, mode in held(move) if mode.stops_reads and move.statement.kind != "create_stmt"]
        if tables:
            told.add(move.file.name)
            yield ctx.finding(
                move.statement, f"the strongest lock on {tables[0]} is waited for without lock_timeout: behind one long query, "
                "all its readers and writers wait with it",
                hint=_BEFORE.get(move.file.tool, _AT_HEAD) + ", and try again when it runs out", detail=tables[0],
            )  # fmt: skip


_AT_HEAD = "SET lock_timeout = '2s' at the head of the file"
_BEFORE = {"alembic": """op.execute("SET lock_timeout = '2s'") first, or for all revisions in env.py"""}


def _limited(move: Move) -> bool:
    """Whether the wait has an end; a block may set it itself."""
    if move.statement.kind == "do_stmt" and "lock_timeout" in move.statement.text.lower():
        return True
    return any(move.settings.get(name, "0") not in _OFF for name in ("lock_timeout", "statement_timeout"))


_OFF = ("0", "0s", "0ms", "0min", "default")


@rule("MIG21", "timeout-around-concurrent-build", Severity.WARNING, needs="text")
def timeout_around_concurrent_build(ctx: Context) -> Iterator[Finding]:
    """CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY with lock_timeout set.

    Why: a concurrent build waits for every older transaction, and disturbs nobody while it waits. With lock_timeout the wait ends in an
    error, and an invalid index stays behind that costs every write.
    Instead: `SET lock_timeout = 0` before it; watch the build instead.
    Except: none.
    """
    for move in moves(ctx):
        limit = move.settings.get("lock_timeout", "0")
        if limit not in _OFF and alone(move.statement) in ("CREATE INDEX CONCURRENTLY", "REINDEX CONCURRENTLY"):
            yield ctx.finding(
                move.statement, f"{alone(move.statement)} gives up after lock_timeout = {limit} and leaves an invalid index behind",
                hint="SET lock_timeout = 0 before it", detail=move.statement.text[:60],
            )  # fmt: skip


_TIMEOUTS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
"""Settings that protect whoever comes next too; only a concurrent build is hurt by them (MIG21)."""
_SEVERE = {
    "session_replication_role": "triggers and foreign keys stay off", "role": "what follows is done, and owned, by another role",
    "session_authorization": "what follows is done, and owned, by another role", "row_security": "row security stays off",
    "search_path": "names without a schema mean other objects",
}  # fmt: skip


@rule("MIG25", "setting-left-behind", Severity.INFO, needs="text")
def setting_left_behind(ctx: Context) -> Iterator[Finding]:
    """SET in a migration file that is still in force when the next file begins.

    Why: most tools run all files in one session. The next file then works with a setting that it does not state, and works otherwise
    when it is run alone.
    Instead: `SET LOCAL` inside the file's transaction, or RESET at its end.
    Except: the last file; settings that every later file makes itself; timeouts, unless a later file builds concurrently; files with
    marks of pgcharter, whose runner resets the session.
    """
    groups = [(name, list(group)) for name, group in groupby(moves(ctx), key=lambda m: m.file.name)]
    if len(groups) < 2 or ctx.reading.source == "alembic":
        return
    later: list[set[str]] = []
    hurt = False
    for _, group in reversed(groups):
        if later and group[0].file.versioned and group[0].file.tool != "pgcharter":
            for name, move in _left(group).items():
                if not all(name in made for made in later) and not (name in _TIMEOUTS and not hurt):
                    why = _SEVERE.get(name, "run alone, that file works without it")
                    yield ctx.finding(
                        move.statement, f"{name} stays set when the next file begins: {why}",
                        hint=f"SET LOCAL {name}, or RESET {name} at the end",
                        severity=Severity.WARNING if name in _SEVERE else None, detail=name,
                    )  # fmt: skip
        hurt = hurt or any(alone(m.statement) and "lock_timeout" not in m.settings for m in group)
        later.append(
            {m.statement.node.name.lower() for m in group if m.statement.kind == "variable_set_stmt" and not m.statement.node.is_local}
        )


def _left(group: Iterable[Move]) -> dict[str, Move]:
    """Settings that the statements of one file leave set, with the statement that did it."""
    found: dict[str, Move] = {}
    for move in group:
        node = move.statement.node
        if move.statement.kind == "discard_stmt":
            found.clear()
        if move.statement.kind != "variable_set_stmt" or node.is_local:
            continue
        kind, name = enum_name(node, "kind"), node.name.lower()
        if kind == "VAR_RESET_ALL":
            found.clear()
        elif (
            kind == "VAR_SET_VALUE" and name and (value(node).lower(), name) not in (("none", "role"), ("default", "session_authorization"))
        ):
            found[name] = move
        else:
            found.pop(name, None)
    return found
