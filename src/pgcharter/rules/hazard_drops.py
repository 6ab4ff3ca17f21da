"""Migrations that take something away: data, names that the running application uses, the way back."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from pgcharter.findings import Finding, Place, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.moves import File, Move, dotted, files, moves, written
from pgcharter.sqltext import Statement, enum_name

_HOLDS = {"OBJECT_TABLE": "table", "OBJECT_MATVIEW": "materialized view", "OBJECT_SCHEMA": "schema", "OBJECT_SEQUENCE": "sequence",
          "OBJECT_TYPE": "type", "OBJECT_FOREIGN_TABLE": "foreign table"}  # fmt: skip


@rule("MIG40", "data-dropped", Severity.WARNING, needs="text")
def data_dropped(ctx: Context) -> Iterator[Finding]:
    """DROP TABLE, DROP COLUMN, DROP SCHEMA, TRUNCATE of what was there before.

    Why: the rows are gone, and no way back brings them; the release of the application that still runs fails with its next query.
    Instead: let a release pass in which nothing uses it, keep a copy or a backup, and drop it then; the comment says that this was done.
    Except: what the same migration makes; sequences and types that belong to a table dropped with them.
    """
    for move in moves(ctx):
        for what, name in _lost(move):
            yield ctx.finding(
                move.statement, f"{what} {name} is gone with its data, and a release that still uses it fails",
                hint="after a release in which nothing uses it, with a backup; then allow this with the reason", detail=f"{what} {name}",
            )  # fmt: skip


def _lost(move: Move) -> Iterator[tuple[str, str]]:
    """Kind and name of what a statement takes away together with data."""
    node, kind = move.statement.node, move.statement.kind
    if kind == "drop_stmt" and (word := _HOLDS.get(enum_name(node, "remove_type"))) in ("table", "schema"):
        for item in node.objects:
            schema, name = ("", item.string.sval) if item.HasField("string") else dotted(item.list.items)
            if not _harmless(move, schema, name):
                yield str(word), f"{quote(schema)}.{quote(name)}" if schema else quote(name)
    elif kind == "truncate_stmt":
        yield from (("the content of", written(r.range_var)) for r in node.relations if not move.fresh(r.range_var))
    elif kind == "dropdb_stmt" and not move.clears_the_way("", node.dbname):
        yield "database", quote(node.dbname)
    for sub, command in move.commands():
        if sub == "AT_DropColumn":
            yield "column", f"{move.table}.{quote(command.name)}"


@rule("MIG41", "dropped-with-whatever-needs-it", Severity.WARNING, needs="text")
def dropped_with_whatever_needs_it(ctx: Context) -> Iterator[Finding]:
    """DROP ... CASCADE or TRUNCATE ... CASCADE of what was there before.

    Why: it takes along every view, key, policy and, for TRUNCATE, every row of other tables that refers to it. What those are differs
    between databases; PostgreSQL tells only after the fact.
    Instead: drop what depends on it by name, first.
    Except: what the same migration makes; schemas that are to go as a whole.
    """
    for move in moves(ctx):
        node = move.statement.node
        if move.statement.kind == "truncate_stmt" and enum_name(node, "behavior") == "DROP_CASCADE":
            names = [written(r.range_var) for r in node.relations if not move.fresh(r.range_var)]
            what = "every table that refers to it is emptied too"
        elif move.statement.kind == "drop_stmt" and enum_name(node, "behavior") == "DROP_CASCADE" and _cascades(node):
            pairs = [dotted(o.list.items if o.HasField("list") else o.type_name.names) for o in node.objects]
            names = [f"{quote(s)}.{quote(n)}" if s else quote(n) for s, n in pairs if not _harmless(move, s, n)]
            what = "everything that needs it goes too, whatever that is"
        else:
            names = [
                f"{move.table}.{quote(c.name)}" for k, c in move.commands() if k in _PARTS and enum_name(c, "behavior") == "DROP_CASCADE"
            ]
            what = "everything that needs it goes too, whatever that is"
        if names:
            yield ctx.finding(
                move.statement, f"CASCADE on {', '.join(names)}: {what}", hint="name what depends on it", detail=", ".join(names)
            )


def _harmless(move: Move, schema: str, name: str) -> bool:
    return move.is_fresh(schema, name) or move.clears_the_way(schema, name)


_PARTS = ("AT_DropColumn", "AT_DropConstraint")


def _cascades(node: Any) -> bool:
    return (
        enum_name(node, "remove_type") in (*_HOLDS, "OBJECT_VIEW", "OBJECT_DOMAIN", "OBJECT_INDEX")
        and enum_name(node, "remove_type") != "OBJECT_SCHEMA"
    )


@rule("MIG44", "renamed-under-the-application", Severity.WARNING, needs="text")
def renamed_under_the_application(ctx: Context) -> Iterator[Finding]:
    """A table, column, view, schema or enum value renamed, or a table moved to another schema.

    Why: the release that runs still says the old name: from the moment of the rename until the last old process is gone its queries fail.
    Instead: for a table, a view under the old name in the same transaction; for a column or value, the new one beside the old one,
    kept in step, and the old one dropped when nothing uses it.
    Except: what the same migration makes; a view under the old name in the same transaction.
    """
    every = moves(ctx)
    for number, move in enumerate(every):
        for what, old, new in _renamed(move):
            if _stands_in(every, number, old) and what != "column":
                continue
            yield ctx.finding(
                move.statement, f"{what} {old} becomes {new} while the release that runs still says {old}: its queries fail",
                hint=(_VIEW if what == "table" else _BESIDE).format(old),
                detail=f"{what} {old}",
            )  # fmt: skip


_VIEW, _BESIDE = "a view {} over it in the same transaction", "the new one beside the old one until no release uses that"


def _renamed(move: Move) -> Iterator[tuple[str, str, str]]:
    """Kind, old and new name, as written."""
    node, kind = move.statement.node, move.statement.kind
    if kind == "rename_stmt":
        word = _RENAMED.get(enum_name(node, "rename_type"), "")
        if word == "schema":
            yield word, quote(node.subname), quote(node.newname)
        elif word and node.HasField("relation") and not move.fresh(node.relation):
            table = written(node.relation)
            if word == "column":
                yield word, f"{table}.{quote(node.subname)}", quote(node.newname)
            else:
                yield word, table, quote(node.newname)
    elif kind == "alter_object_schema_stmt" and enum_name(node, "object_type") in _RENAMED and not move.fresh(node.relation):
        yield "table", written(node.relation), f"{quote(node.newschema)}.{quote(node.relation.relname)}"
    elif kind == "alter_enum_stmt" and node.old_val and not move.is_fresh(*dotted(node.type_name)):
        yield "value", f"'{node.old_val}'", f"'{node.new_val}'"


_RENAMED = {"OBJECT_TABLE": "table", "OBJECT_COLUMN": "column", "OBJECT_VIEW": "view", "OBJECT_MATVIEW": "view", "OBJECT_SCHEMA": "schema"}


def _stands_in(every: Sequence[Move], number: int, old: str) -> bool:
    """Whether a view, or a table that takes the place, is made under the old name afterwards in the same migration."""
    unit = every[number].unit
    for move in every[number + 1 :]:
        if move.unit != unit:
            return False
        node = move.statement.node
        made = node.view if move.statement.kind == "view_stmt" else node.relation if move.statement.kind == "create_stmt" else None
        if made is not None and written(made) == old:
            return True
        if (
            move.statement.kind == "rename_stmt"
            and node.HasField("relation")
            and not node.subname
            and quote(node.newname) == old.rpartition(".")[2]
        ):
            return True
    return False


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
    import re

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
        yield from (i.alter_table_cmd.name for i in node.cmds if enum_name(i.alter_table_cmd, "subtype") in _PARTS)
    elif statement.kind == "rename_stmt":
        yield node.subname or node.relation.relname


def _undone(group: Sequence[Move], made: Move, name: str) -> bool:
    """Whether the way forward itself takes it away again, or gives it another name."""
    return any(m.index > made.index and name in _drops(m.statement) for m in group)
