"""Renaming as a fix: PostgreSQL carries keys, views and policies along, but not the text of functions; and the new name must be free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pgcharter.catalog.model import Catalog, Table
from pgcharter.names import MAX_BYTES, ObjectId, quote
from pgcharter.rules import free_names, shapes
from pgcharter.rules.bodies import Same
from pgcharter.rules.engine import Context

Remedy = tuple[str, str]
"""Fix and hint of a finding; either may be empty."""
_SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


@lru_cache(maxsize=2)
def _heirs(catalog: Same) -> Mapping[ObjectId, list[Table]]:
    found: dict[ObjectId, list[Table]] = {}
    for table in catalog.it.tables:
        for parent in table.inherits:
            found.setdefault(parent, []).append(table)
    return found


@lru_cache(maxsize=2)
def _spoken(catalog: Same) -> frozenset[str]:
    texts = [f.body for f in catalog.it.functions if not f.extension]
    texts += [a for t in catalog.it.tables for trigger in t.triggers for a in trigger.arguments]
    return frozenset(word for text in texts for word in re.findall(r"[\w$]+", text.lower()))


def is_in_code(catalog: Catalog, name: str) -> bool:
    """Whether a function's text or a trigger's argument holds every word of `name`, so that a rename could break it."""
    spoken = _spoken(Same(catalog))
    return bool(spoken) and all(word in spoken for word in re.findall(r"[\w$]+", name.lower()))


_FOLLOW = "views, keys and policies follow; queries of applications that name it do not"
_BREAKS = "functions whose text names {0} must change with it"


def _remedy(ctx: Context, old: str, fix: str) -> Remedy:
    """The rename itself, or only told of where code inside the database would break."""
    if is_in_code(ctx.catalog, old):
        return "", f"{fix}; {_BREAKS.format(quote(old))}"
    return fix, _FOLLOW


def column(ctx: Context, table: Table, old: str, new: str, promised: set[str] | None = None) -> Remedy:
    """RENAME COLUMN where the new name is free in the table and in those that inherit from it.

    `promised` are the names that other fixes of the table will take; this one is added.
    """
    heirs = _heirs(Same(ctx.catalog)).get(table.id, ())
    promised = set() if promised is None else promised
    if (
        new in promised
        or new in table.column
        or new in _SYSTEM_COLUMNS
        or any(new in t.column for t in heirs)
        or len(new.encode()) > MAX_BYTES
    ):
        return "", f"{quote(new)} is taken: choose a name that says what sets this column apart"
    if table.of_type:
        return "", f"rename the attribute of the type {table.of_type} to {quote(new)}"
    promised.add(new)
    return _remedy(ctx, old, f"{shapes.alter(table)} RENAME COLUMN {quote(old)} TO {quote(new)}")


def table(ctx: Context, it: Table, new: str) -> Remedy:
    """RENAME of a table where the new name is free in its schema."""
    if new in free_names.taken(ctx, it.schema) or len(new.encode()) > MAX_BYTES:
        return "", f"{quote(new)} is taken: choose another name after the template"
    return _remedy(ctx, it.name, f"{shapes.alter(it)} RENAME TO {quote(new)}")


def relation(ctx: Context, target: ObjectId, new: str) -> Remedy:
    """RENAME of an index or a sequence; `new` is free (see `free_names.taken`)."""
    fix = f"ALTER {target.kind.upper()} {target.sql()} RENAME TO {quote(new)}"
    return ("", f"{fix}; {_BREAKS.format(quote(target.name))}") if is_in_code(ctx.catalog, target.name) else (fix, "")


def constraint(ctx: Context, it: Table, old: str, new: str) -> Remedy:
    """RENAME CONSTRAINT; `new` is free. ALTER FOREIGN TABLE does not know it, ALTER TABLE does it for foreign tables too."""
    fix = f"ALTER TABLE {it.id.sql()} RENAME CONSTRAINT {quote(old)} TO {quote(new)}"
    return ("", f"{fix}; {_BREAKS.format(quote(old))}") if is_in_code(ctx.catalog, old) else (fix, "")
