"""SQL as text: statements, their kinds and places, comments and suppressions. The only package that touches the C parser (postgast)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgcharter.findings import Place
from pgcharter.sqltext.source import Source

__all__ = ["Allow", "Broken", "Mark", "Meta", "Parsed", "Source", "Statement", "enum_name", "node_place", "offset_place", "parse", "walk"]


@dataclass(frozen=True, slots=True)
class Allow:
    """A suppression comment: `-- pgcharter: allow KEY01, IDX03 because it is a log`."""

    codes: tuple[str, ...]
    """Rule codes or slugs, as written."""
    reason: str
    place: Place


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement of a file."""

    kind: str
    """Name of the parser's node in snake case: `create_stmt`, `index_stmt`, `alter_table_stmt`, ..."""
    text: str
    """The statement itself, without leading comments and without its semicolon."""
    place: Place
    """Where its first word stands."""
    offset: int = 0
    """Characters before it in its text."""
    node: Any = field(default=None, repr=False, compare=False)
    """The parser's message of that kind. Its `location` fields count bytes: `node_place` turns them into places."""
    allows: tuple[Allow, ...] = ()
    direction: str = "up"
    """up or down, in migration files with both sections."""
    source: Source | None = field(default=None, repr=False, compare=False)
    """The text it stands in."""
    base: int = field(default=0, repr=False, compare=False)
    """Bytes of `source` before the parser's location 0."""
    variables: tuple[str, ...] = ()
    """Names of psql variables in it (`:name`), which only psql could fill in."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A piece of text that is not a statement, or a suppression comment that cannot be understood."""

    message: str
    """PostgreSQL's own message for SQL; ours for comments."""
    place: Place
    """Where the parser stopped."""
    start: Place
    """Where the piece begins."""
    text: str = ""
    hint: str = ""
    direction: str = "up"


@dataclass(frozen=True, slots=True)
class Meta:
    r"""A psql meta-command: `\\connect shop`."""

    command: str
    """Without its backslash."""
    argument: str
    place: Place
    offset: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A comment that says something of a migration: `-- pgcharter: gate the new release runs everywhere`."""

    verb: str
    """One of `comments.MARKS`."""
    words: str
    offset: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What `parse` found in one text."""

    file: str
    source: Source = field(repr=False)
    statements: tuple[Statement, ...] = ()
    errors: tuple[Broken, ...] = ()
    """Pieces that are not SQL."""
    remarks: tuple[Broken, ...] = ()
    """Suppression comments that say nothing: no reason, no code, or no statement beside them."""
    metas: tuple[Meta, ...] = ()
    skipped: int = 0
    """Data statements of a large file that were not looked at."""

    @property
    def text(self) -> str:
        """The text that was parsed (without a byte order mark)."""
        return self.source.text


def node_place(statement: Statement, location: int) -> Place:
    """The place of a parser's byte `location` inside `statement`; the statement's own place when there is no such location."""
    if statement.source is None or location < 0:
        return statement.place
    return statement.source.place(statement.source.char(statement.base + location))


def offset_place(statement: Statement, position: int) -> Place:
    """The place of the character `position` (from 1, as PostgreSQL reports errors) of `statement.text`."""
    if statement.source is None or position < 1:
        return statement.place
    return statement.source.place(statement.offset + position - 1)


def parse(text: str, file: str, above: int = 0, *, everything: bool = False) -> Parsed:
    """Parse `text`, above which `above` lines of its file stand; what is no SQL goes into `errors` and hides nothing else.

    Of a very large text the data statements are left out (`skipped`), unless `everything` is wanted.

    Raises UsageError when the text holds a NUL byte: no PostgreSQL text can, and the parser would not see what follows.
    """
    from pgcharter.sqltext.parser import parse_text

    return parse_text(text, file, above, everything=everything)


def enum_name(node: Any, name: str) -> str:
    """Name of the value of an enum field of a parser's message: `enum_name(constraint, "contype")` is `CONSTR_PRIMARY`."""
    field_type = node.DESCRIPTOR.fields_by_name[name].enum_type
    return str(field_type.values_by_number[getattr(node, name)].name)


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Every message inside `node` with the name of its type, outermost first: `FuncCall`, `ColumnRef`, `SQLValueFunction`, ..."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here.DESCRIPTOR.name, here
        for descriptor, value in here.ListFields():
            if descriptor.message_type is not None:
                if hasattr(value, "DESCRIPTOR"):
                    stack.append(value)
                else:
                    stack.extend(value)
