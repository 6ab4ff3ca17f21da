"""Migrations as rules see them: what was there before a statement, which transaction it runs in, what it was seen to do.

**What is a migration.** Several files whose names carry a version (Flyway, dbmate, goose, NNN_name.sql, timestamps, a folder a migration,
Sqitch), or an Alembic chain, are migrations: they reach a database that is in use one after another, so a table made by an earlier file is
in use when a later one changes it. Everything else (one file, a folder without versions, a dump) is taken for one schema, built in one go:
nothing that it makes itself is in use yet. In both, a table that the text does not make was there before, and what a file makes it may
change. Files of rows for a fresh database (seeds, fixtures) are not looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pgcharter.catalog.effect import Effect
from pgcharter.catalog.model import Catalog
from pgcharter.catalog.reading import Reading
from pgcharter.names import quote
from pgcharter.plan import safety
from pgcharter.rules.engine import Context
from pgcharter.rules.migration_files import SENT_WHOLE, File, beside, file_of, is_seed
from pgcharter.sqltext import Statement, enum_name, walk
from pgcharter.sqltext.blocks import inside

_CHANGESET = re.compile(r"^[ \t]*--[ \t]*changeset\b[^\n]*", re.M | re.I)
_BEGINS = ("TRANS_STMT_BEGIN", "TRANS_STMT_START")
_ENDS = ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE")
WATCHED = ("lock_timeout", "statement_timeout", "timezone")
"""Settings whose value at each statement is known."""


@dataclass(slots=True, eq=False)
class Move:
    """One statement in its turn."""

    statement: Statement
    file: File
    unit: str
    """Name of the migration it belongs to; empty when the whole target is one."""
    block: int
    """Number of the transaction it runs in; 0: none but its own."""
    opened: str
    """Who opened that transaction: BEGIN, or the name of a tool."""
    settings: dict[str, str]
    """Values of `WATCHED` settings that the text itself has set."""
    effect: Effect | None
    """What it was seen to do; None when no server saw it."""
    index: int
    inside: str
    """`block` for a statement of a DO block, `loop` for one that stands in a loop there; empty for others."""
    past: bool
    """Whether the database that it is meant for has it behind it."""
    _made: dict[str, list[tuple[str, int]]] = field(repr=False)
    """By name: schema and turn of what this unit makes, and what other units make that the database it is meant for does not have."""
    _first: dict[str, str] = field(repr=False)
    """By name: the unit that makes it first."""

    def is_fresh(self, schema: str, name: str) -> bool:
        """Whether the unit has made the object before, so that nobody uses it yet. Where either side names no schema, the name decides."""
        return any(turn < self.index and (not schema or not at or at == schema) for at, turn in self._made.get(name, ()))

    def fresh(self, node: Any) -> bool:
        """`is_fresh` for a RangeVar; temporary tables are always fresh."""
        return node.relpersistence == "t" or self.is_fresh(node.schemaname, node.relname)

    def fresh_column(self, node: Any, column: str) -> bool:
        """The same for a column of a table in use."""
        return self.is_fresh(node.schemaname, f"{node.relname}.{column}")

    def clears_the_way(self, schema: str, name: str) -> bool:
        """Whether DROP ... IF EXISTS only makes room for what its own unit makes first, afterwards, so that it can be run again."""
        made = any(not schema or not at or at == schema for at, _ in self._made.get(name, ()))
        return made and self._first.get(name) == self.unit and self.statement.node.missing_ok

    def commands(self) -> Iterator[tuple[str, Any]]:
        """The subcommands of an ALTER TABLE with their kinds: `AT_AddColumn`, ...; nothing when it is none, or its table is fresh."""
        node = self.statement.node
        if self.statement.kind == "alter_table_stmt" and enum_name(node, "objtype") == "OBJECT_TABLE" and not self.fresh(node.relation):
            for item in node.cmds:
                yield enum_name(item.alter_table_cmd, "subtype"), item.alter_table_cmd

    @property
    def table(self) -> str:
        """The table of the statement, as written and quoted."""
        return written(self.statement.node.relation)


def written(node: Any) -> str:
    """A RangeVar as SQL: `app.orders`."""
    return f"{quote(node.schemaname)}.{quote(node.relname)}" if node.schemaname else quote(node.relname)


def dotted(items: Sequence[Any]) -> tuple[str, str]:
    """Schema (empty where not written) and name of a list of strings."""
    parts = [i.string.sval for i in items]
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")


class _Same:
    """A reading compared by identity."""

    def __init__(self, it: Reading, statements: tuple[Statement, ...]) -> None:
        self.it, self.statements = it, statements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)


def moves(ctx: Context) -> tuple[Move, ...]:
    """Every statement of SQL files or of an Alembic chain in its turn; nothing for documents and models, which nobody runs as they are."""
    return _moves(_Same(ctx.reading, ctx.statements)) if ctx.reading.source in ("sql", "alembic") else ()


def every(ctx: Context) -> Iterator[Move]:
    """The same, each DO block followed by the statements that stand plainly in it: what those lock is known of the block."""
    for move in moves(ctx):
        yield move
        for inner in inside(move.statement) if move.statement.kind == "do_stmt" else ():
            yield replace(move, statement=inner.statement, effect=None, inside="loop" if inner.looped else "block")


def files(ctx: Context) -> dict[str, File]:
    """The files whose statements are looked at, by name, in order."""
    return {m.file.name: m.file for m in moves(ctx)}


@lru_cache(maxsize=2)
def _moves(same: _Same) -> tuple[Move, ...]:
    reading, statements = same.it, same.statements
    known: dict[str, File] = {}
    for s in statements:
        if s.place.file not in known:
            text = reading.texts.get(s.place.file) or (s.source.text if s.source else "")
            known[s.place.file] = file_of(s.place.file, text, reading.source, beside(reading.texts, s.place.file))
    statements = tuple(s for s in statements if not is_seed(s.place.file))
    several = reading.source == "alembic" or sum(f.versioned for f in known.values()) > 1
    walk = _Walk(reading, several, statements)
    return tuple(walk.step(s, known[s.place.file]) for s in statements)


class _Walk:
    """Goes through the statements and keeps account of files, transactions, settings and of what was made."""

    def __init__(self, reading: Reading, several: bool, statements: Sequence[Statement]) -> None:
        self.reading, self.several = reading, several
        self.first: dict[str, str] = {}
        """Unit that makes a name first: what IF NOT EXISTS finds there already is not made."""
        self.made: dict[str, dict[str, list[tuple[str, int]]]] = {}
        self.file = File("")
        self.turn = self.blocks = self.block = 0
        self.opened = ""
        self.changeset = -1
        self.session: dict[str, str] = {}
        self.local: dict[str, str] = {}
        self.hidden = _made_unseen(reading)
        self.sent = Counter(s.place.file for s in statements)
        """Statements by file."""
        self.own = {s.place.file for s in statements if s.kind == "transaction_stmt"}
        """Files that open and close their transactions themselves."""
        where = reading.destination
        self.applied = where.applied or frozenset() if where else frozenset[str]()
        self.there = _names(where.catalog) if where else None
        self.nowhere: dict[str, list[tuple[str, int]]] = {}

    def step(self, statement: Statement, file: File) -> Move:
        """The statement in its turn; afterwards the account is that of what follows it."""
        if file.name != self.file.name:
            self._enter(file)
        if file.tool == "liquibase":
            self._changeset(statement)
        self.turn += 1
        unit = file.name if self.several else ""
        made = self.made.setdefault(unit, {name: list(found) for name, found in self.nowhere.items()})
        node = statement.node
        turn = enum_name(node, "kind") if statement.kind == "transaction_stmt" and node is not None else ""
        if turn in _BEGINS and not self.block:
            self._open("BEGIN")
        settings = {**self.session, **self.local}
        effect = self.reading.effects.get(statement.place) or self._looked_up(statement, settings)
        past = file.name in self.applied
        move = Move(statement, file, unit, self.block, self.opened, settings, effect, self.turn, "", past, made, self.first)
        if turn in _ENDS:
            self._close()
        if node is not None:
            self._set(statement)
            for schema, name in (*_makes(statement, move), *self.hidden.get(statement.place, ())):
                if self.first.setdefault(name, unit) == unit or not getattr(node, "if_not_exists", False):
                    for account in self._accounts(made, schema, name):
                        account.setdefault(name, []).append((schema, self.turn))
        return move

    def _accounts(self, made: dict[str, list[tuple[str, int]]], schema: str, name: str) -> Iterable[dict[str, list[tuple[str, int]]]]:
        """To whom an object is new: the unit that makes it; all, where the database that they are meant for does not have it yet."""
        if self.there is None or any(schema in ("", at) for at in self.there.get(name, ())):
            return (made,)
        self.nowhere.setdefault(name, []).append((schema, self.turn))
        return self.made.values()

    def _looked_up(self, statement: Statement, settings: dict[str, str]) -> Effect | None:
        """What servers have shown of a change of a table as it is in the database that it is meant for, where none has seen this one."""
        where = self.reading.destination
        if where is None or statement.kind != "alter_table_stmt" or statement.place.file in self.applied:
            return None
        found = safety.effect(statement, where.catalog, where.catalog.major, timezone=settings.get("timezone", ""))
        return found if found.known else None

    def _enter(self, file: File) -> None:
        self.file = file
        if file.tool == "alembic":
            return
        self.session, self.local = {}, {}
        self.changeset = -1
        together = file.sent_whole and self.sent[file.name] > 1 and file.name not in self.own
        wraps = file.wraps and file.tool not in ("pgcharter", "liquibase")
        self._open(file.tool or SENT_WHOLE) if wraps or together else self._close()

    def _changeset(self, statement: Statement) -> None:
        """Each changeset of a formatted file of Liquibase is a transaction of its own, unless its line says otherwise."""
        above = list(_CHANGESET.finditer(self.file.text, 0, statement.offset))
        line = above[-1] if above else None
        if line is not None and line.start() != self.changeset:
            self.changeset = line.start()
            self._close()
            if "runintransaction:false" not in line.group().lower():
                self._open("liquibase")

    def _open(self, who: str) -> None:
        self.blocks += 1
        self.block, self.opened = self.blocks, who

    def _close(self) -> None:
        self.block, self.opened = 0, ""
        self.local = {}

    def _set(self, statement: Statement) -> None:
        node = statement.node
        if statement.kind == "select_stmt" and "set_config" in statement.text.lower():
            for name, given, local in _configured(node):
                (self.local if local else self.session)[name] = given
        if statement.kind != "variable_set_stmt":
            return
        kind, name = enum_name(node, "kind"), node.name.lower()
        if kind == "VAR_RESET_ALL":
            self.session, self.local = {}, {}
        elif name in WATCHED:
            target = self.local if node.is_local else self.session
            target.pop(name, None)
            if kind == "VAR_SET_VALUE":
                target[name] = value(node)


def _configured(node: Any) -> Iterator[tuple[str, str, bool]]:
    """Name, value and reach (True: to the end of the transaction) of the watched settings that `set_config` calls make."""
    for kind, call in walk(node):
        if kind == "FuncCall" and call.funcname[-1].string.sval == "set_config" and len(call.args) == 3:
            name, given, local = (a.a_const for a in call.args)
            if name.sval.sval.lower() in WATCHED:
                yield name.sval.sval.lower(), given.sval.sval, local.boolval.boolval


def value(node: Any) -> str:
    """The value that a SET gives, as text: `2s`, `0`, `UTC`."""
    parts = []
    for arg in node.args:
        const = arg.a_const
        which = const.WhichOneof("val")
        parts.append(const.sval.sval if which == "sval" else const.fval.fval if which == "fval" else str(const.ival.ival))
    return ", ".join(parts)


def _makes(statement: Statement, move: Move) -> Iterator[tuple[str, str]]:
    """Schema and name of what a statement makes anew, as written; of a column its table and name, parted by a point."""
    node, kind = statement.node, statement.kind
    if kind in ("create_stmt", "create_foreign_table_stmt"):
        relation = node.relation if kind == "create_stmt" else node.base_stmt.relation
        yield relation.schemaname, relation.relname
    elif kind == "create_table_as_stmt":
        yield node.into.rel.schemaname, node.into.rel.relname
    elif kind == "select_stmt" and node.HasField("into_clause"):
        yield node.into_clause.rel.schemaname, node.into_clause.rel.relname
    elif kind == "create_seq_stmt":
        yield node.sequence.schemaname, node.sequence.relname
    elif kind == "view_stmt":
        yield node.view.schemaname, node.view.relname
    elif kind == "index_stmt" and node.idxname:
        yield node.relation.schemaname, node.idxname
    elif kind in ("create_enum_stmt", "create_range_stmt"):
        yield dotted(node.type_name)
    elif kind == "create_domain_stmt":
        yield dotted(node.domainname)
    elif kind == "create_schema_stmt":
        yield "", node.schemaname
    elif kind == "alter_table_stmt":
        for sub, command in move.commands():
            if sub == "AT_AddColumn":
                yield node.relation.schemaname, f"{node.relation.relname}.{getattr(command, 'def').column_def.colname}"
    elif kind == "createdb_stmt":
        yield "", node.dbname
    elif kind == "rename_stmt" and node.HasField("relation") and not node.subname and move.fresh(node.relation):
        yield node.relation.schemaname, node.newname


def _names(catalog: Catalog) -> dict[str, set[str]]:
    """Schemas by the names of what statements may find there: relations, columns, indexes, sequences, types and schemas."""
    found: dict[str, set[str]] = {s.name: {""} for s in catalog.schemas}
    own = (*(s.id for s in catalog.sequences), *(t.id for t in catalog.types))
    for target in (*(r.id for r in catalog.relation.values()), *catalog.index, *own):
        found.setdefault(target.name, set()).add(target.schema)
    for table in catalog.tables:
        for column in table.columns:
            found.setdefault(f"{table.name}.{column.name}", set()).add(table.schema)
    return found


def _made_unseen(reading: Reading) -> dict[Any, list[tuple[str, str]]]:
    """What blocks and functions made, by the place of the statement that ran them."""
    blocks = {s.place for s in reading.statements if s.kind in ("do_stmt", "select_stmt", "call_stmt")}
    found: dict[Any, list[tuple[str, str]]] = {}
    for target, place in reading.places.items() if blocks else ():
        if place in blocks and target.kind in ("table", "materialized view", "index", "type", "domain"):
            found.setdefault(place, []).append((target.schema, target.name))
    return found
