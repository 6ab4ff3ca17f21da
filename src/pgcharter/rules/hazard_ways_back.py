"""Migrations: the way back from them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from pgcharter.findings import Finding, Place, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.hazard_drops import PARTS
from pgcharter.rules.migration_files import File
from pgcharter.rules.moves import Move, dotted, files, moves
from pgcharter.sqltext import Statement, enum_name


def _pairs(ctx: Context) -> Iterator[tuple[File, list[Move], list[Statement]]]:
    """Each file with its statements and those of its way back."""
    back: dict[str, list[Statement]] = {}
    for s in ctx.reading.back:
        if "verify" not in PurePath(s.place.file).parts:
            back.setdefault(_stem(s.place.file), []).append(s)
    forth: dict[str, list[Move]] = {}
    for move in moves(ctx):
        forth.setdefault(move.file.name, []).append(move)
    known = files(ctx)
    return ((known[name], group, back.get(_stem(name), [])) for name, group in forth.items())


def _stem(name: str) -> str:
    """What the files of both directions share: `V7`, `0007_add_total`."""
    path = PurePath(name)
    flyway = re.match(r"[VU](\d[0-9._]*?)__", path.name)
    if flyway:
        return f"V{flyway[1]}"
    stem = re.sub(r"[._-]?(?:up|down|undo|rollback|revert)\Z", "", path.stem, flags=re.IGNORECASE)
    return stem or path.parent.name


_LOOK = ("variable_set_stmt", "transaction_stmt", "select_stmt")


@rule("MIG42", "no-way-back", Severity.INFO, needs="text")
def no_way_back(ctx: Context) -> Iterator[Finding]:
    """A migration without a way back where the others have one.

    Why: whoever wants to undo the release finds out in the middle of it that this file cannot be undone.
    Instead: a section or file that leads back; or a comment that says why there is none: `-- pgcharter: one-way because ...`.
    Except: projects in which no file has a way back; repeatable files.
    """
    if ctx.reading.source == "alembic":
        yield from _without_downgrade(ctx)
        return
    found = [p for p in _pairs(ctx) if p[0].versioned and not PurePath(p[0].name).name.startswith("R__")]
    if not any(back for _, _, back in found):
        return
    for file, group, back in found:
        work = [m for m in group if m.statement.kind not in _LOOK]
        if work and not back and not file.one_way:
            yield ctx.finding(
                work[0].statement, f"{PurePath(file.name).name} has no way back, though other files here have one",
                hint="-- pgcharter: one-way because ..., when there is none", detail=PurePath(file.name).name,
            )  # fmt: skip


def _without_downgrade(ctx: Context) -> Iterator[Finding]:
    """Revisions whose downgrade() does nothing and does not say so by raising, where others do something."""
    empty: list[tuple[str, int]] = []
    able = False
    for name, text in ctx.reading.texts.items():
        try:
            functions = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
        except (SyntaxError, ValueError):
            continue
        up, down = functions.get("upgrade"), functions.get("downgrade")
        if up is None or _idle(up):
            continue
        if down is None or _idle(down):
            empty.append((name, down.lineno if down else up.lineno))
        else:
            able = True
    for name, line in empty if able else ():
        yield ctx.finding(
            Place(name, line), f"{PurePath(name).name} has an empty downgrade(), though other revisions lead back",
            hint="raise NotImplementedError with the reason, when there is no way back", detail=PurePath(name).name,
        )  # fmt: skip


def _idle(function: ast.FunctionDef) -> bool:
    return all(isinstance(n, ast.Pass) or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)) for n in function.body)


@rule("MIG43", "way-back-leaves-something", Severity.WARNING, needs="text")
def way_back_leaves_something(ctx: Context) -> Iterator[Finding]:
    """A way back that does not take away what the way forward made.

    Why: after going back, what is left (a type, a table, a column) is in the way: the same migration fails when it is applied again.
    Instead: drop each of them on the way back, types and sequences too.
    Except: what goes with something that is dropped: a table's columns and indexes, a schema's tables.
    """
    for _, group, back in _pairs(ctx):
        if not any(s.kind not in _LOOK for s in back) or any(s.kind in ("do_stmt", "call_stmt") for s in back):
            continue
        gone = {name for s in back for name in _drops(s)}
        for move in group:
            for what, name, within in _makes(move.statement):
                if name not in gone and not gone & within and not _undone(group, move, name):
                    yield ctx.finding(
                        move.statement,
                        f"the way back leaves {what} {quote(name)}: the same migration fails when it is applied again",
                        hint=f"DROP {what.upper()} {quote(name)} on the way back",
                        detail=f"{what} {name}",
                    )  # fmt: skip


def _makes(statement: Statement) -> Iterator[tuple[str, str, set[str]]]:
    """Kind and name of what a statement makes, and the names of what it would go away with."""
    node, kind = statement.node, statement.kind
    if kind == "create_stmt" and node.relation.relpersistence != "t":
        parents = {p.range_var.relname for p in node.inh_relations} if node.HasField("partbound") else set()
        yield "table", node.relation.relname, {node.relation.schemaname, *parents} - {""}
    elif kind in ("create_enum_stmt", "create_domain_stmt"):
        schema, name = dotted(node.type_name if kind == "create_enum_stmt" else node.domainname)
        yield "type" if kind == "create_enum_stmt" else "domain", name, {schema} - {""}
    elif kind == "index_stmt" and node.idxname and not node.if_not_exists:
        yield (
            "index",
            node.idxname,
            {node.relation.relname, node.relation.schemaname, *(p.index_elem.name for p in node.index_params)} - {""},
        )
    elif kind == "alter_table_stmt":
        for item in node.cmds:
            column = getattr(item.alter_table_cmd, "def").column_def
            if enum_name(item.alter_table_cmd, "subtype") == "AT_AddColumn" and not item.alter_table_cmd.missing_ok:
                yield "column", column.colname, {node.relation.relname, node.relation.schemaname} - {""}


def _drops(statement: Statement) -> Iterator[str]:
    """Names of what a statement takes away or gives another name."""
    node = statement.node
    if statement.kind == "drop_stmt":
        for item in node.objects:
            yield (
                item.string.sval
                if item.HasField("string")
                else dotted(item.list.items if item.HasField("list") else item.type_name.names)[1]
            )
    elif statement.kind == "alter_table_stmt":
        yield from (i.alter_table_cmd.name for i in node.cmds if enum_name(i.alter_table_cmd, "subtype") in PARTS)
    elif statement.kind == "rename_stmt":
        yield node.subname or node.relation.relname


def _undone(group: Sequence[Move], made: Move, name: str) -> bool:
    """Whether the way forward itself takes it away again, or gives it another name."""
    return any(m.index > made.index and name in _drops(m.statement) for m in group)
