"""Identifiers: quoting, and the identity of an object inside a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_BYTES = 63
"""Longest identifier PostgreSQL keeps, in bytes (NAMEDATALEN - 1); longer ones are cut silently."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_ROUTINE = re.compile(r'(?P<name>.+)(?P<arguments>\((?:[^()"]|"(?:[^"]|"")*")*\))', re.DOTALL)
"""A name with argument types, of which only quoted ones have parentheses in them."""
_PAIRS = {"operator class": " USING ", "operator family": " USING ", "transform": " LANGUAGE "}
_COMPOUND = frozenset((*_PAIRS, "function", "procedure", "aggregate", "operator", "cast"))
"""Kinds whose name carries more than a name: arguments, access method, language."""


@lru_cache(maxsize=65536)
def quote(name: str) -> str:
    """Return `name` as it must be written in SQL: bare when that is safe, in double quotes otherwise.

    The rule is PostgreSQL's own `quote_ident`: anything but lower-case letters, digits and underscores, and every keyword that is not
    unreserved, is quoted.
    """
    from pgcharter.keywords import QUOTED_KEYWORDS

    if _PLAIN.match(name) and "$" not in name and name not in QUOTED_KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def cut(name: str) -> str:
    """The name cut to what PostgreSQL keeps, never through a character."""
    return name.encode()[:MAX_BYTES].decode(errors="ignore")


def literal(text: str) -> str:
    """Return `text` as a SQL string literal that reads the same whatever `standard_conforming_strings` says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


TENANT = "[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
"""Names of tenants as a regular expression, in Python and PostgreSQL alike."""
NOBODYS = frozenset(("public", "information_schema", "pgcharter"))
"""Schemas and databases that are no tenant's, whatever they are called."""


def form_of_places(text: str) -> str:
    """The form of names of tenants' places, checked: {name} once, in lower-case letters, digits, _ and -. Raises ValueError."""
    if re.fullmatch(r"[a-z0-9_-]*\{name\}[a-z0-9_-]*", text) is None or text == "{name}" or text.startswith("pg_"):
        raise ValueError(
            f"{text!r} makes no name of a tenant's place: it has {{name}} in it once, and lower-case letters, digits, _ or - around it"
        )
    return text


def placed(form: str, name: str) -> str:
    """The schema or database of a tenant, and its role, by the form of their names. Raises ValueError for what is no tenant's name."""
    if re.fullmatch(TENANT, name) is None:
        raise ValueError(
            f"{name!r} is no name of a tenant: 1 to 63 lower-case letters, digits, - and _, the first and last a letter or digit"
        )
    found = form.replace("{name}", name)
    if len(found) > MAX_BYTES:
        raise ValueError(
            f"tenant {name} would be in {found}, which has {len(found)} bytes, and {MAX_BYTES} is the most: take a shorter name"
        )
    if found in NOBODYS or found.startswith("pg_"):
        raise ValueError(f"tenant {name} would be in {found}, which is not for tenants: take another name")
    return found


@dataclass(frozen=True, slots=True, order=True)
class ObjectId:
    """What an object is and how it is addressed; hashable, sortable, the key of places, findings and waivers.

    `kind` is PostgreSQL's own word in lower case: schema, table, view, materialized view, foreign table, sequence, index, column,
    constraint, trigger, policy, rule, function, procedure, aggregate, type, domain, extension, role, publication, subscription, event
    trigger, statistics, server, database, setting, ... `schema` is empty for objects outside schemas. `name` is the object's own name,
    for functions with its argument types: `f(integer, text)`, for operators and the like as `catalog.model.OtherObject` says. `part` is
    the member for what lives inside a relation: kind `column`, `constraint`, `trigger`, `policy` and `rule` have the relation in `name`
    and their own name in `part`, and kind `label` its enum.
    """

    kind: str
    schema: str
    name: str
    part: str = ""

    def sql(self) -> str:
        """The address in SQL, quoted where needed: `app.users`, `app.users.email`, `app.f(integer)`."""
        last = self._last() if self.kind in _COMPOUND else quote(self.name)
        dotted = f"{quote(self.schema)}.{last}" if self.schema else last
        return f"{dotted}.{quote(self.part)}" if self.part else dotted

    def _last(self) -> str:
        """A compound name with every part quoted by itself."""
        if self.kind in ("function", "procedure", "aggregate"):
            routine = _ROUTINE.fullmatch(self.name)
            return quote(routine["name"]) + routine["arguments"] if routine else quote(self.name)
        if self.kind in ("operator", "cast"):
            return self.name
        first, word, second = self.name.rpartition(_PAIRS[self.kind])
        if not word:
            return quote(self.name)
        return (first if self.kind == "transform" else quote(first)) + word + quote(second)

    @property
    def owner(self) -> ObjectId:
        """The relation a part lives in, as kind `table`; itself for everything else."""
        return ObjectId("table", self.schema, self.name) if self.part else self

    def __str__(self) -> str:
        if self.kind == "default privileges":
            role, _, objects = self.name.rpartition(" on ")
            return f"default privileges of {quote(role)} on {objects}" + (f" in schema {quote(self.schema)}" if self.schema else "")
        return f"{self.kind} {self.sql()}"


_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\s."()]+)'
_ADDRESS = re.compile(
    rf"(?P<kind>[a-z]+(?: [a-z]+)*) (?P<dotted>{_IDENTIFIER}(?:\.{_IDENTIFIER}){{0,2}})(?P<arguments>\(.*\))?\Z", re.DOTALL
)
_PARTS = ("column", "constraint", "trigger", "policy", "rule", "label")
_GLOBAL = ("schema", "extension", "role", "publication", "subscription", "event trigger", "server", "database", "language")


def address(text: str) -> ObjectId:
    """The address that `str(ObjectId)` writes, read back: `column app.users.email`, `function app.f(integer)`.

    Raises ValueError, with a sentence, for anything else.
    """
    match = _ADDRESS.match(text.strip())
    names = [n[1:-1].replace('""', '"') if n.startswith('"') else n for n in re.findall(_IDENTIFIER, match["dotted"])] if match else []
    kind = match["kind"] if match else ""
    wanted = 3 if kind in _PARTS else 1 if kind in _GLOBAL else 2
    if match is None or len(names) != wanted:
        form = {3: f"{kind} schema.table.name", 1: f"{kind} name", 2: f"{kind or 'table'} schema.name"}[wanted]
        raise ValueError(f"{text!r} is no address of an object: write it as {form!r}")
    schema, name, part = ([""] * (wanted == 1) + names + ["", ""])[:3]
    return ObjectId(kind, schema, name + (match["arguments"] or ""), part)
