"""Code as text: bodies, policies and view definitions with strings and comments masked, the calls in them, the tables they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pgcharter.catalog.model import Catalog, Function
from pgcharter.names import quote

_OPAQUE = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?<![\w$])[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|(?<![\w$])\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$|"(?:""|[^"])*\"""",
    re.DOTALL,
)
_NAME = r'(?:[^\x00-@\[-^`{-\x7f][\w$]*|"(?:[^"]|"")+")'  # [A-Za-z_] and all beyond ASCII, which as a range takes 4 ms to compile
_WORD = re.compile(_NAME)
_CALL = re.compile(rf"(?P<schema>{_NAME})\s*\.\s*(?P<name>{_NAME})\s*\(")
_RELATION = re.compile(
    r"\b(?:(?P<into>insert\s+into|merge\s+into)|"
    r"(?P<how>from|join|(?<!for\s)(?<!do\s)update|delete\s+from|using))\s+(?:only\s+)?"
    rf"(?:(?P<schema>{_NAME})\s*\.\s*)?(?P<name>{_NAME}(?![\w$]))(?(how)(?!\s*[(.]))",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def mask(text: str) -> str:
    """`text` with comments blanked and string contents replaced by spaces; positions stay the same. Quoted identifiers are kept."""
    return _OPAQUE.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    text = found.group()
    if text.startswith('"'):
        return text
    inner = re.sub(r"[^\n]", " ", text[1:-1])
    return f" {inner} " if text.startswith(("--", "/*")) else f"'{inner}'"


@lru_cache(maxsize=4096)
def names_in(expression: str) -> frozenset[str]:
    """Every word and quoted identifier of an expression, outside its strings, as written."""
    return frozenset(_WORD.findall(mask(expression)))


def uses(expression: str, column: str) -> bool:
    """Whether PostgreSQL's own text of an expression speaks of `column`, qualified or not."""
    return quote(column) in expression and quote(column) in names_in(expression)


def closing(masked: str, opening: int) -> int:
    """Position of the parenthesis that closes the one at `opening`; the end of the text when there is none."""
    depth = 0
    for found in re.compile(r"[()]").finditer(masked, opening):
        depth += 1 if found.group() == "(" else -1
        if depth == 0:
            return found.start()
    return len(masked)


@dataclass(frozen=True, slots=True)
class Call:
    """One function call in a text."""

    start: int
    end: int
    arguments: tuple[str, ...]


def calls(text: str, name: str) -> Iterator[Call]:
    """Calls of the function with bare name `name` (a regular expression) and the texts of their arguments, strings unmasked."""
    masked = mask(text)
    for found in re.finditer(rf"(?<![\w$\"])(?:{name})\s*\(", masked, re.IGNORECASE):
        opening = found.end() - 1
        end = closing(masked, opening)
        yield Call(found.start(), end + 1, tuple(_arguments(text, masked, opening + 1, end)))


def _arguments(text: str, masked: str, start: int, end: int) -> Iterator[str]:
    depth, begin = 0, start
    for position in range(start, end):
        letter = masked[position]
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[begin:position].strip()
            begin = position + 1
    if text[begin:end].strip():
        yield text[begin:end].strip()


def qualified_calls(expression: str) -> Iterator[tuple[str, str, Call]]:
    """Calls written `schema.function(...)`: schema, name, call."""
    masked = mask(expression)
    for found in _CALL.finditer(masked):
        end = closing(masked, found.end() - 1)
        arguments = tuple(_arguments(expression, masked, found.end(), end))
        yield unquoted(found["schema"]), unquoted(found["name"]), Call(found.start(), end + 1, arguments)


def unquoted(name: str) -> str:
    """The identifier as the catalog holds it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


@dataclass(frozen=True, slots=True)
class Mention:
    """A relation named in a body."""

    how: str
    """from, join, insert into, update, delete from, merge into or using."""
    schema: str
    """Empty when it is not qualified."""
    name: str


_NAMED_QUERY = re.compile(rf"(?P<name>{_NAME})\s*(?:\([^()]*\)\s*)?\bas\s+(?:(?:not\s+)?materialized\s+)?\(", re.IGNORECASE)


_NO_RELATION = re.compile(
    r"\bdistinct\s+from\b|\b(?:extract|substring|trim|overlay|position)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)", re.IGNORECASE
)
"""FROM that names no relation: `extract(year FROM x)`, `substring(x FROM 2)`, `IS DISTINCT FROM`."""


def mentions(body: str) -> tuple[Mention, ...]:
    """The relations that a body reads or writes, as far as the text tells; variables may be among them, WITH queries are not."""
    masked = _NO_RELATION.sub(lambda m: " " * len(m.group()), mask(body))
    named = {unquoted(m["name"]) for m in _NAMED_QUERY.finditer(masked)} if re.search(r"\bwith\b", masked, re.IGNORECASE) else set()
    return tuple(
        Mention(" ".join((m["how"] or m["into"]).lower().split()), unquoted(m["schema"]) if m["schema"] else "", unquoted(m["name"]))
        for m in _RELATION.finditer(masked)
        if m["schema"] or unquoted(m["name"]) not in named
    )


def known_relations(catalog: Catalog, body: str) -> tuple[Mention, ...]:
    """The mentions that are tables or views of the catalog, each with its schema; ambiguous names are left out unless written in full."""
    by_name = _relations(Same(catalog))
    found: list[Mention] = []
    for m in mentions(body):
        schemas = by_name.get(m.name, frozenset())
        if m.schema in schemas:
            found.append(m)
        elif not m.schema and len(schemas) == 1:
            found.append(Mention(m.how, next(iter(schemas)), m.name))
    return tuple(found)


@lru_cache(maxsize=2)
def _relations(catalog: Same) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for table in catalog.it.tables:
        found.setdefault(table.name, set()).add(table.schema)
    for view in catalog.it.views:
        found.setdefault(view.name, set()).add(view.schema)
    return {name: frozenset(schemas) for name, schemas in found.items()}


class Same:
    """A catalog compared by identity: hashing one by value would walk all of it."""

    def __init__(self, it: Catalog) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)


@lru_cache(maxsize=2)
def _functions(catalog: Same) -> dict[tuple[str, str], Function]:
    return {(f.schema, f.name): f for f in catalog.it.functions}


def functions_by_name(catalog: Catalog) -> Mapping[tuple[str, str], Function]:
    """One function for each schema and bare name."""
    return _functions(Same(catalog))


def readable(function: Function) -> bool:
    """Whether the body is SQL or PL/pgSQL text."""
    return function.language in ("sql", "plpgsql") and bool(function.body)


def bound_early(function: Function) -> bool:
    """Whether the body was resolved when the function was made (SQL-standard body): no search_path can redirect it later."""
    return function.language == "sql" and not re.search(r"^AS \$", function.definition, re.MULTILINE) and bool(function.definition)


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of the whole words, in any case."""
    return re.compile(r"\b(?:" + "|".join(words) + r")\b", re.IGNORECASE)
