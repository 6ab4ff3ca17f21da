"""Migrations that take something away: data, names that the running application uses, the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pgcharter.findings import Finding, Severity
from pgcharter.names import quote
from pgcharter.rules.engine import Context, rule
from pgcharter.rules.moves import Move, dotted, every, written
from pgcharter.sqltext import enum_name

_HOLDS = {"OBJECT_TABLE": "table", "OBJECT_MATVIEW": "materialized view", "OBJECT_SCHEMA": "schema", "OBJECT_SEQUENCE": "sequence",
          "OBJECT_TYPE": "type", "OBJECT_FOREIGN_TABLE": "foreign table"}  # fmt: skip


@rule("MIG40", "data-dropped", Severity.WARNING, needs="text")
def data_dropped(ctx: Context) -> Iterator[Finding]:
    """DROP TABLE, DROP COLUMN, DROP SCHEMA, TRUNCATE of what was there before.

    Why: the rows are gone, and no way back brings them; the release of the application that still runs fails with its next query.
    Instead: let a release pass in which nothing uses it, keep a copy or a backup, and drop it then; the comment says that this was done.
    Except: what the same migration makes; sequences and types that belong to a table dropped with them.
    """
    for move in every(ctx):
        for what, name in _lost(move):
            yield ctx.finding(
                move.statement,
                f"{what} {name} is gone" + ("" if what == _CONTENT else " with its data, and a release that still uses it fails"),
                hint="after a release in which nothing uses it, with a backup: `-- pgcharter: allow MIG40 because ...` above it",
                detail=f"{what} {name}",
            )  # fmt: skip


_CONTENT = "the content of"


def _lost(move: Move) -> Iterator[tuple[str, str]]:
    """Kind and name of what a statement takes away together with data."""
    node, kind = move.statement.node, move.statement.kind
    if kind == "drop_stmt" and (word := _HOLDS.get(enum_name(node, "remove_type"))) in ("table", "schema"):
        for item in node.objects:
            schema, name = ("", item.string.sval) if item.HasField("string") else dotted(item.list.items)
            if not _harmless(move, schema, name):
                yield str(word), f"{quote(schema)}.{quote(name)}" if schema else quote(name)
    elif kind == "truncate_stmt":
        yield from ((_CONTENT, written(r.range_var)) for r in node.relations if not move.fresh(r.range_var))
    elif kind == "dropdb_stmt" and not move.clears_the_way("", node.dbname):
        yield "database", quote(node.dbname)
    for sub, command in move.commands():
        if sub == "AT_DropColumn" and not move.fresh_column(node.relation, command.name):
            yield "column", f"{move.table}.{quote(command.name)}"


@rule("MIG41", "dropped-with-whatever-needs-it", Severity.WARNING, needs="text")
def dropped_with_whatever_needs_it(ctx: Context) -> Iterator[Finding]:
    """DROP ... CASCADE or TRUNCATE ... CASCADE of what was there before.

    Why: it takes along every view, key, policy and, for TRUNCATE, every row of other tables that refers to it. What those are differs
    between databases; PostgreSQL tells only after the fact.
    Instead: drop what depends on it by name, first.
    Except: what the same migration makes; schemas that are to go as a whole.
    """
    for move in every(ctx):
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
                f"{move.table}.{quote(c.name)}" for k, c in move.commands() if k in PARTS and enum_name(c, "behavior") == "DROP_CASCADE"
            ]
            what = "everything that needs it goes too, whatever that is"
        if names:
            yield ctx.finding(
                move.statement,
                f"CASCADE on {', '.join(names)}: {what}",
                hint="without CASCADE: PostgreSQL then names what depends on it, and each is dropped by name, first",
                detail=", ".join(names),
            )


def _harmless(move: Move, schema: str, name: str) -> bool:
    return move.is_fresh(schema, name) or move.clears_the_way(schema, name)


PARTS = ("AT_DropColumn", "AT_DropConstraint")


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
    found = list(every(ctx))
    for number, move in enumerate(found):
        for what, old, new in _renamed(move):
            if _stands_in(found, number, old) and what != "column":
                continue
            yield ctx.finding(
                move.statement, f"{what} {old} becomes {new} while the release that runs still says {old}: its queries fail",
                hint=_VIEW.format(old, new if "." in new else _beside(old, new)) if what == "table" else _BESIDE,
                detail=f"{what} {old}",
            )  # fmt: skip


_VIEW = "in the same transaction: CREATE VIEW {} AS SELECT * FROM {}"
_BESIDE = "the new one beside the old one, kept in step, until no release uses the old one"


def _beside(old: str, new: str) -> str:
    """The new name in the schema of the old one."""
    return f"{old.rpartition('.')[0]}.{new}" if "." in old else new


def _renamed(move: Move) -> Iterator[tuple[str, str, str]]:
    """Kind, old and new name, as written."""
    node, kind = move.statement.node, move.statement.kind
    if kind == "rename_stmt":
        word = _RENAMED.get(enum_name(node, "rename_type"), "")
        if word == "schema":
            yield word, quote(node.subname), quote(node.newname)
        elif word and node.HasField("relation") and not move.fresh(node.relation):
            table = written(node.relation)
            if word == "column" and not move.fresh_column(node.relation, node.subname):
                yield word, f"{table}.{quote(node.subname)}", quote(node.newname)
            elif word != "column":
                yield word, table, quote(node.newname)
    elif kind == "alter_object_schema_stmt" and enum_name(node, "object_type") in _RENAMED and not move.fresh(node.relation):
        yield "table", written(node.relation), f"{quote(node.newschema)}.{quote(node.relation.relname)}"
    elif kind == "alter_enum_stmt" and node.old_val and not move.is_fresh(*dotted(node.type_name)):
        yield "value", f"'{node.old_val}'", f"'{node.new_val}'"


_RENAMED = {"OBJECT_TABLE": "table", "OBJECT_COLUMN": "column", "OBJECT_VIEW": "view", "OBJECT_MATVIEW": "view", "OBJECT_SCHEMA": "schema"}


def _stands_in(found: Sequence[Move], number: int, old: str) -> bool:
    """Whether a view, or a table that takes the place, is made under the old name afterwards in the same migration."""
    unit = found[number].unit
    for move in found[number + 1 :]:
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
