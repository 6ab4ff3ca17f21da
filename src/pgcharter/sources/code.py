"""Files of stored code: routines, views, triggers and rules on tables that the files do not make, built in whatever order works."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgcharter.catalog.reading import Reading
from pgcharter.errors import PgcharterError, UsageError
from pgcharter.sources.layout import SUFFIXES, find
from pgcharter.sources.script import Script, Step, load
from pgcharter.sqltext import Statement, enum_name, parse, walk

if TYPE_CHECKING:
    from pgcharter.servers.scratch import ScratchDatabase
    from pgcharter.sources.build import Builder, Refusal

ROUTINE, VIEW, TRIGGER, RULE = "routine", "view", "trigger", "rule"
"""What stored code is made of; materialized views count as views, aggregates as routines."""
_BESIDE = {
    "alter_function_stmt", "alter_owner_stmt", "variable_set_stmt", "transaction_stmt", "drop_stmt", "refresh_mat_view_stmt",
    "create_schema_stmt", "alter_object_depends_stmt",
}  # fmt: skip
"""Statements that make no code but stand beside it."""
_SWITCHES = re.compile(r"AT_(?:Enable|Disable)\w*(?:Trig|Rule)\w*")
_ROUTINES = {"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"}
_COMMENTED = {*_ROUTINES, "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_INDEX"}
_PLAIN = re.compile(
    r"(?P<head>\s*create\s+)(?P<what>(?:function|procedure|aggregate|view|recursive\s+view|rule|constraint\s+trigger|trigger)\b)", re.I
)
_PATHS = re.compile(r"\bsearch_path\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of code that a statement makes, as far as its text tells."""

    group: str
    schema: str
    name: str
    """With the relation before it for triggers and rules, with the argument types behind it for routines."""


@dataclass
class Code:
    """What the files of a folder declare."""

    target: str
    script: Script
    items: dict[Item, Statement] = field(default_factory=dict)
    granted: set[tuple[str, str]] = field(default_factory=set)
    """Schema and name of what privileges are given on or taken from; the name is empty for all of a schema."""

    @cached_property
    def declared(self) -> frozenset[tuple[str, str]]:
        """Schema and group of all that is declared: only of such, what no file declares is to go."""
        return frozenset((item.schema, item.group) for item in self.items)


def is_code(target: str) -> bool:
    """Whether a file or folder of SQL makes nothing but stored code. False for whatever is no such target."""
    path = Path(target).expanduser()
    if not (path.is_dir() and not (path / "alembic.ini").is_file()) and path.suffix.lower() not in SUFFIXES:
        return False
    if not path.exists():
        return False
    made = False
    for file in find(target)[1]:
        parsed = parse(file.path.read_text("utf-8", "replace"), file.name)
        views = _views(parsed.statements)
        if parsed.metas or parsed.errors or not all(_fits(s, views) for s in parsed.statements):
            return False
        made = made or any(_group(s) for s in parsed.statements)
    return made


def load_code(target: str) -> Code:
    """Read the files of `target`. Raises UsageError for anything in them that is no stored code, or declared twice."""
    script = load(target, one_way=True)
    code = Code(target, script)
    if script.findings:
        first = script.findings[0]
        raise UsageError(f"{target} cannot be read: {first.message}", place=str(first.place or ""), hint=first.hint)
    views = _views(script.statements)
    path = ""
    for number, step in enumerate(script.steps):
        if number == 0 or script.steps[number - 1].file != step.file:
            path = "public"
        statement = step.statement
        if not _fits(statement, views):
            raise UsageError(
                f"{_words(statement)} makes no stored code: only routines, views, triggers and rules are planned on top of what is there",
                place=str(statement.place),
                hint="keep it with the schema's own files or migrations",
            )
        path = _search_path(statement, path)
        _declare(code, statement, path)
        if statement.kind == "grant_stmt":
            code.granted.update(_granted(statement.node, path))
    if not code.items:
        raise UsageError(f"{target} declares no stored code", hint="CREATE OR REPLACE FUNCTION, VIEW, TRIGGER … in files below it")
    return code


def _granted(node: Any, path: str) -> Iterator[tuple[str, str]]:
    for item in node.objects:
        which = item.WhichOneof("node")
        if which == "range_var":
            yield item.range_var.schemaname or path, item.range_var.relname
        elif which == "object_with_args":
            names = [n.string.sval for n in item.object_with_args.objname]
            yield (names[-2] if len(names) > 1 else path), names[-1]
        elif which == "string":
            yield item.string.sval, ""


def _declare(code: Code, statement: Statement, path: str) -> None:
    item = _item(statement, path)
    if item is None:
        return
    first = code.items.setdefault(item, statement)
    if first is not statement:
        raise UsageError(
            f"{item.group} {item.schema}.{item.name} is declared twice, so what it is depends on which file runs last",
            place=str(statement.place), hint=f"the other one: {first.place}",
        )  # fmt: skip


def _words(statement: Statement) -> str:
    from pgcharter.sources.build import head

    return head(statement)


def _group(statement: Statement) -> str:
    kind, node = statement.kind, statement.node
    if kind == "create_function_stmt" or (kind == "define_stmt" and enum_name(node, "kind") == "OBJECT_AGGREGATE"):
        return ROUTINE
    if kind == "view_stmt" or (kind == "create_table_as_stmt" and enum_name(node, "objtype") == "OBJECT_MATVIEW"):
        return VIEW
    return {"create_trig_stmt": TRIGGER, "rule_stmt": RULE}.get(kind, "")


def _fits(statement: Statement, views: frozenset[str]) -> bool:
    """Whether a statement makes code, or says something about the `views` that are made."""
    kind, node = statement.kind, statement.node
    if kind == "alter_table_stmt":
        switches = all(_SWITCHES.fullmatch(enum_name(c.alter_table_cmd, "subtype")) for c in node.cmds)
        return switches or node.relation.relname in views
    if kind == "index_stmt":
        return node.relation.relname in views
    if kind == "create_schema_stmt":
        return not node.schema_elts
    if kind == "grant_stmt":
        named = {o.range_var.relname for o in node.objects}
        return enum_name(node, "objtype") in _ROUTINES or (enum_name(node, "objtype") == "OBJECT_TABLE" and named <= views)
    if kind == "comment_stmt":
        about = enum_name(node, "objtype")
        return about in _COMMENTED or (about == "OBJECT_COLUMN" and node.object.list.items[-2].string.sval in views)
    return kind in _BESIDE or bool(_group(statement))


def _views(statements: Sequence[Statement]) -> frozenset[str]:
    made = (s.node.view if s.kind == "view_stmt" else s.node.into.rel for s in statements if _group(s) == VIEW)
    return frozenset(relation.relname for relation in made)


def _search_path(statement: Statement, path: str) -> str:
    """The schema where unqualified names are made after `statement`."""
    if statement.kind != "variable_set_stmt" or not _PATHS.fullmatch(statement.node.name):
        return path
    names = [a.a_const.sval.sval for a in statement.node.args]
    return next((n for n in names if n != "$user"), "public")


def _item(statement: Statement, path: str) -> Item | None:
    group, node = _group(statement), statement.node
    if not group:
        return None
    if group == ROUTINE:
        names = [n.string.sval for n in (node.funcname if statement.kind == "create_function_stmt" else node.defnames)]
        schema, name = (names[-2] if len(names) > 1 else path), names[-1]
        return Item(group, schema, f"{name}({', '.join(_arguments(statement))})")
    if group == VIEW:
        relation = node.view if statement.kind == "view_stmt" else node.into.rel
        return Item(group, relation.schemaname or path, relation.relname)
    own = node.trigname if group == TRIGGER else node.rulename
    return Item(group, node.relation.schemaname or path, f"{node.relation.relname}.{own}")


_NO_INPUT = ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")


def _arguments(statement: Statement) -> Iterator[str]:
    """Types of the input arguments, alike for the same type however it is spelt."""
    if statement.kind == "create_function_stmt":
        parameters = [p.function_parameter for p in statement.node.parameters]
    else:
        parameters = [m for name, m in walk(statement.node) if name == "FunctionParameter"]
    for parameter in parameters:
        if enum_name(parameter, "mode") not in _NO_INPUT:
            yield _type(parameter.arg_type)


def _type(node: Any) -> str:
    names = [n.string.sval for n in node.names if n.string.sval != "pg_catalog"]
    return ".".join(names) + ("[]" if node.array_bounds else "") + ("%type" if node.pct_type else "")


def build(database: ScratchDatabase, code: Code) -> Reading:
    """Run the files on a database that holds what they stand on, each statement when what it needs is there; read everything back.

    Raises PgcharterError, with the place and PostgreSQL's words, for a statement that is refused whatever came before it.
    """
    from pgcharter.sources import generated, recorder
    from pgcharter.sources.build import Builder

    recorder.install(database.admin)
    builder = Builder(database)
    waiting = _rounds(builder, code.script.steps)
    if waiting:
        _checked(builder, False)
        left = _rounds(builder, [step for step in code.script.steps if id(step.statement) in waiting], checked=False)
        _checked(builder, True)
        waiting = left or _rounds(builder, [step for step in code.script.steps if id(step.statement) in waiting], anew=True)
    _refuse(code, waiting)
    return generated.state(code.target, "sql", database, builder, wanted=code.script.statements, texts=code.script.texts)


def _checked(builder: Builder, on: bool) -> None:
    """Bodies of SQL functions are held against what is there only at the end where they call each other in a circle."""
    builder.database.conn.execute(f"SET check_function_bodies = {'on' if on else 'off'}")


def _rounds(builder: Builder, steps: Sequence[Step], *, checked: bool = True, anew: bool = False) -> Mapping[int, Refusal]:
    """Run `steps` file by file, again and again while there is progress. Returns the refusals that stand, by identity of the statement."""
    waiting: dict[int, Refusal | None] = {id(s.statement): None for s in steps if _runs(s.statement)}
    while waiting:
        before = len(waiting)
        _round(builder, steps, waiting, checked=checked, anew=anew)
        if len(waiting) == before:
            break
    return {key: refusal for key, refusal in waiting.items() if refusal is not None}


def _runs(statement: Statement) -> bool:
    return statement.kind not in ("drop_stmt", "transaction_stmt", "variable_set_stmt", "refresh_mat_view_stmt")


def _round(builder: Builder, steps: Sequence[Step], waiting: dict[int, Refusal | None], *, checked: bool, anew: bool) -> None:
    file = ""
    for step in steps:
        if file and step.file != file:
            builder.end_file()
            if not checked:
                _checked(builder, False)
        file = step.file
        if step.statement.kind == "variable_set_stmt":
            builder.run(step.statement, step.sql)
        elif id(step.statement) in waiting:
            refusal = _tried(builder, step, anew=anew)
            if refusal is None:
                del waiting[id(step.statement)]
            else:
                waiting[id(step.statement)] = refusal
    builder.end_file()


_NO_MATTER = "42P06"
"""SQLSTATE of a schema that is there already."""
_THERE = ("42723", "42P07", "42710")
"""SQLSTATEs of what is there already."""


def _tried(builder: Builder, step: Step, *, anew: bool) -> Refusal | None:
    """Run one statement. What could not make way, because tables use it, is replaced."""
    replacing = _PLAIN.sub(r"\g<head>OR REPLACE \g<what>", step.sql, count=1) if _PLAIN.match(step.sql) else step.sql
    refusal = builder.run(step.statement, replacing if anew else step.sql)
    if refusal is not None:
        builder.forget(refusal)
    if refusal is not None and refusal.sqlstate in _THERE and replacing != step.sql:
        refusal = builder.run(step.statement, replacing)
        if refusal is not None:
            builder.forget(refusal)
    return None if refusal is not None and refusal.sqlstate == _NO_MATTER else refusal


def _refuse(code: Code, waiting: Mapping[int, Refusal]) -> None:
    if not waiting:
        return
    from pgcharter.sources.build import head
    from pgcharter.sources.effects import makes, missing_name
    from pgcharter.sqltext import offset_place

    made = {name for refusal in waiting.values() for name in makes(refusal.statement)}
    first = next((r for r in waiting.values() if missing_name(r.message) not in made), next(iter(waiting.values())))
    more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    raise PgcharterError(
        f"{code.target} cannot be planned with: PostgreSQL refuses {head(first.statement)}: {first.message}{more}",
        place=str(offset_place(first.statement, first.position)),
        hint=". ".join(p.rstrip(".") for p in (first.detail, first.hint) if p),
    )
